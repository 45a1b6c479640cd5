"""Another bundle is loaded beside those who answer, by processes that are killed at any time."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from funnel.artifacts import Store
from tests.service.server import Client, Server, clients, server, soon
from tests.service.test_workers import alive, answers, more, nothing_was_lost
from tests.serving.test_reload import variant, without_ranker

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux' /proc")

#: A service that never ends loading one version, and says which process does.
HANGS = """
import os, sys, time
from pathlib import Path
from funnel.artifacts import Store
from funnel.service import supervisor
from funnel.service.config import ServeConfig
real = supervisor.Live
def live(store, version, **more):
    if version != sys.argv[2]:
        return real(store, version, **more)
    print("loading", os.getpid(), file=sys.stderr, flush=True)
    time.sleep(200)
supervisor.Live = live
ready = lambda url, _: print("answers at", url, file=sys.stderr, flush=True)
supervisor.serve(Store(Path(sys.argv[1])), ServeConfig(port=0, watch=0.1, workers=2), ready)
"""


#: A service that is given children of others, as the first process of a container is.
ADOPTS = """
import ctypes, sys
from pathlib import Path
from funnel.artifacts import Store
from funnel.service import supervisor
from funnel.service.config import ServeConfig
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
ready = lambda url, _: print("answers at", url, file=sys.stderr, flush=True)
supervisor.serve(Store(Path(sys.argv[1])), ServeConfig(port=0, watch=0.1, workers=2), ready)
"""


@pytest.fixture
def watching(indexes: Path) -> Iterator[Server]:
    """A service of two workers that looks often."""
    config = indexes.parent / "serve.toml"
    config.write_text('name = "x"\n[data]\nreader = "movielens"\n[serve]\nwatch = 0.1\nworkers = 2\n')
    with server(indexes, "--config", str(config)) as running:
        yield running


@contextmanager
def hanging(indexes: Path, version: str) -> Iterator[tuple[Server, int]]:
    """A service that is loading a version without an end, and the process that does."""
    with server(indexes, command=["-c", HANGS, str(indexes), version]) as running:
        before = running.workers()
        Store(indexes).publish(version)
        assert soon(lambda: any(line.startswith("loading") for line in running.said))
        loading = next(int(line.split()[1]) for line in running.said if line.startswith("loading"))
        assert running.workers() == before
        yield running, loading


def private(process: int) -> float:
    """MiB that no other process has."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE))) / 1024


def all_answered(every: list[Client]) -> None:
    assert {status for client in every for status in client.answered} == {200}
    assert [client.lost for client in every] == [[]] * len(every)


def test_each_bundle_has_workers_of_its_own(indexes: Path, watching: Server) -> None:
    store = Store(indexes)
    before = store.current()
    after = without_ranker(store)
    alone = max(map(private, watching.workers()))
    with clients(watching) as every:
        for version in (after, before, after):
            workers = watching.workers()
            store.publish(version)
            for client in every:
                client.versions.clear()
            assert soon(lambda version=version: all(version in client.versions for client in every))
            assert soon(lambda: len(watching.workers()) == 2 and len(watching.parents()) == 1)
            assert not set(workers) & set(watching.workers())
            for client in every:
                client.versions.clear()
            assert more(every)
            assert {answered for client in every for answered in client.versions} == {version}
            # What a worker has of its own does not grow with what was published before.
            assert max(map(private, watching.workers())) < alone + 30
        for client in every:
            client.stop = True
    all_answered(every)
    nothing_was_lost(indexes, every)
    health = watching.get("/health")[1]
    assert (health["version"], health["reloads"], health["refusals"], health["refused"]) == (
        after,
        3,
        0,
        None,
    )
    assert metric(watching, "funnel_reloads_total") == 3


def metric(running: Server, name: str) -> float:
    """The sum of a metric's samples."""
    with urlopen(f"http://127.0.0.1:{running.port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))


def test_published_over_http_it_is_answered_from_at_once(indexes: Path) -> None:
    """The supervisor is told, and does not wait until it would look."""
    store = Store(indexes)
    before = store.current()
    after = without_ranker(store)
    store.publish(after)
    config = indexes.parent / "serve.toml"
    config.write_text('name = "x"\n[data]\nreader = "movielens"\n[serve]\nwatch = 3600\nworkers = 2\n')
    with server(indexes, "--config", str(config)) as running:
        workers = running.workers()
        assert running.post("/v1/bundles/rollback", {"version": before}) == (200, {"published": before})
        assert soon(lambda: not any(map(alive, workers)))
        found = [running.post("/v1/recommend", {"user_id": 7})[1]["version"] for _ in range(20)]
        assert found == [before] * 20


def test_what_cannot_be_served_leaves_all_as_it_is(indexes: Path, watching: Server) -> None:
    store = Store(indexes)
    before, workers = store.current(), watching.workers()
    damaged = variant(store, lambda folder: (folder / "serve.json").write_text("{}"))
    with clients(watching) as every:
        store.publish(damaged)
        assert soon(lambda: watching.get("/health")[1]["refused"])
        assert more(every)
        assert watching.workers() == workers
        assert {version for client in every for version in client.versions} == {before}
    all_answered(every)
    refused = watching.get("/health")[1]["refused"]
    assert refused["version"] == damaged
    assert "cannot be used" in refused["reason"]
    assert soon(lambda: metric(watching, "funnel_bundle_refused") == 2)  # both workers say so
    assert watching.post("/v1/bundles/rollback", {"version": before}) == (200, {"published": before})
    assert soon(lambda: watching.get("/health")[1]["refused"] is None)
    assert watching.workers() == workers


def test_published_over_http_and_refused_it_is_said(indexes: Path) -> None:
    store = Store(indexes)
    before = store.current()
    damaged = variant(store, lambda folder: (folder / "serve.json").write_text("{}"))
    store.publish(damaged)
    store.publish(before)
    with server(indexes) as running:
        status, problem = running.post("/v1/bundles/rollback", {"version": damaged})
        assert (status, problem["error"]) == (503, "BundleError")
        assert "cannot be used" in problem["detail"]
        assert str(indexes) not in problem["detail"]
        assert running.post("/v1/recommend", {"user_id": 7})[1]["version"] == before


def test_a_worker_killed_while_another_bundle_is_loaded(indexes: Path) -> None:
    with hanging(indexes, without_ranker(Store(indexes))) as (running, loading), clients(running, 4) as every:
        os.kill(running.workers()[0], signal.SIGKILL)
        assert soon(lambda: len(running.workers()) == 2)
        assert more(every)
        assert alive(loading)
        assert {status for client in every for status in client.answered} == {200}


def test_what_loads_is_killed(indexes: Path) -> None:
    with hanging(indexes, without_ranker(Store(indexes))) as (running, loading), clients(running, 4) as every:
        workers = running.workers()
        os.kill(loading, signal.SIGKILL)
        assert soon(lambda: running.get("/health")[1]["refused"])
        assert "SIGKILL" in running.get("/health")[1]["refused"]["reason"]
        assert soon(lambda: sum(line.startswith("loading") for line in running.said) > 1)  # it is tried again
        assert more(every)
        assert running.workers() == workers
    all_answered(every)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_while_another_bundle_is_loaded(indexes: Path, number: signal.Signals) -> None:
    with hanging(indexes, without_ranker(Store(indexes))) as (running, loading):
        processes = [loading, *running.parents(), *running.workers()]
        running.process.send_signal(number)
        assert running.process.wait(60) == (0 if number == signal.SIGTERM else -number)
        assert soon(lambda: not any(map(alive, processes)))
        assert not answers(running)


def test_the_parent_of_workers_is_killed(watching: Server) -> None:
    """They go on until others answer, which take what they have left."""
    (parent,), workers = watching.parents(), watching.workers()
    with clients(watching, 4) as every:
        os.kill(parent, signal.SIGKILL)
        assert soon(lambda: len(watching.workers()) == 2 and not set(watching.workers()) & set(workers))
        assert soon(lambda: not any(map(alive, workers)))
        assert more(every)
    all_answered(every)
    assert watching.get("/health")[1]["reloads"] == 0


def test_workers_whose_parent_was_killed_in_a_container_are_gone(indexes: Path) -> None:
    """What had ended and nobody had heard of was counted as living by the metrics, and fell behind."""
    with server(indexes, command=["-c", ADOPTS, str(indexes)]) as running:
        (parent,), workers = running.parents(), running.workers()
        os.kill(parent, signal.SIGKILL)
        assert soon(lambda: len(running.workers()) == 2 and not set(running.workers()) & set(workers))
        assert soon(lambda: not {parent, *workers} & set(running.parents()))
        with urlopen(f"http://127.0.0.1:{running.port}/metrics") as reply:
            assert reply.read().decode().count("\nfunnel_bundle_info{") == 2


def test_published_again_and_again(indexes: Path, watching: Server) -> None:
    """Whatever was published meanwhile, at the end there are two workers of the last."""
    store = Store(indexes)
    versions = [store.current(), without_ranker(store)]
    with clients(watching, 4) as every:
        for number in range(10):
            store.publish(versions[number % 2])
            time.sleep(0.05 * number)
        assert soon(lambda: watching.get("/health/ready")[1].get("version") == versions[1])
        assert soon(lambda: len(watching.parents()) == 1 and len(watching.workers()) == 2)
    all_answered(every)


def test_idle_connections_are_kept(indexes: Path, watching: Server) -> None:
    """Whoever was answered long before is answered by those that follow, over the same connection."""
    store = Store(indexes)
    after = without_ranker(store)
    kept = [watching.connection() for _ in range(40)]
    for connection in kept:
        assert asked(connection)["version"] == store.current()
    ports = [connection.sock.getsockname() for connection in kept]
    store.publish(after)
    workers = watching.workers()
    assert soon(lambda: not any(map(alive, workers)))
    assert [asked(connection)["version"] for connection in kept] == [after] * 40
    assert [connection.sock.getsockname() for connection in kept] == ports


def asked(connection: Any) -> Any:
    from tests.service.server import ask

    status, answer = ask(connection, "/v1/recommend", {"user_id": 7, "k": 3})
    assert status == 200
    return answer
