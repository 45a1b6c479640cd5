"""`Live` on a state that several machines share: what one takes in, lost connections, killed servers."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from funnel import BundleError, Live
from funnel.artifacts import Store
from funnel.errors import FunnelError
from funnel.serving.state import Event, open_state, reach
from funnel.serving.state.follower import Follower
from funnel.serving.state.last_known import EVENTS, USERS, LastKnown
from funnel.serving.state.users import Erased
from tests.processes import python
from tests.servers import Server, emptied, postgres_server, redis_server
from tests.serving.state.proxy import Network
from tests.serving.test_items import frame, ids

KINDS = ["redis", "postgres"]
LATER = 1_700_000_000


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, pool: dict[str, Any]) -> Server:
    """One that lives on."""
    return emptied(request.param, pool)  # type: ignore[no-any-return]


@pytest.fixture(params=KINDS)
def own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One that may be killed, and is asked again soon after it was lost."""
    monkeypatch.setattr(reach, "PAUSE", 0.05)
    with (redis_server if request.param == "redis" else postgres_server)() as started:
        yield started


@pytest.fixture
def network(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    monkeypatch.setattr(reach, "PAUSE", 0.05)
    between = Network(server.host, server.port)
    yield between
    between.close()


def through(network: Network, server: Server) -> str:
    return server.url.replace(f":{server.port}/", f":{network.port}/")


def soon(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


WORKER = """
import json, sys
import pandas as pd
from funnel import Live
live, number = Live(sys.argv[1], state=sys.argv[2]), int(sys.argv[3])
live.observe((7, number), ("new", number))
live.observe(("new", 1), kind="impression")
live.items.upsert(pd.DataFrame({
    "item_id": [1000 + number], "title": "x", "genres": [["Western"]], "year": 1900.0 + number}))
live.items.patch([20 + number], {"year": 1850.0})
live.items.delete([30 + number])
print(json.dumps([live.history("new"), live.health()["state"]["impressions"]]))
"""


def script(code: str, *arguments: Any) -> Any:
    done = python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_one_process_takes_in_the_others_know(store: Store, server: Server) -> None:
    live = Live(store.folder, state=server.url)
    for number in (1, 2):
        assert script(WORKER, store.folder, server.url, number) == [list(range(1, number + 1)), number]
        assert live.history(7)[-1] == number
        assert set(ids(live.recommend("x", where={"genres": "Western"}))) == set(range(1001, 1001 + number))
        assert not set(range(31, 31 + number)) & set(ids(live.recommend("x", k=500)))
        assert set(ids(live.recommend("x", where={"year": {"lt": 1880}}))) == set(range(21, 21 + number))
    assert live.users.forget("new") == Erased(events=2, bundle=None, impressions=2)
    assert not (store.folder / "live").exists()
    many = live.recommend_many([7, None, "new", 7], 5)
    assert [ids(answer) for answer in many] == [ids(live.recommend(user, 5)) for user in (7, None, "new", 7)]


FORKS = """
import json, os, sys
from funnel import Live
live = Live(sys.argv[1], state=sys.argv[2])
live.observe((7, 3)); live.items.delete([40])
children = []
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        for n in range(5):
            live.observe((1000 + worker, 1 + n))
        live.items.delete([41 + worker])
        held = {40, 41 + worker} & {one.item_id for one in live.recommend("x", 500).items}
        os._exit(9 if held else len(live.history(1000 + worker)))
    children.append(pid)
live.observe((7, 4))
left = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
shown = {one.item_id for one in live.recommend("x", 500).items}
print(json.dumps([left, live.history(7)[-2:], sorted(shown & {40, 41, 42, 43})]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_workers_write_and_know_what_each_wrote(store: Store, server: Server) -> None:
    assert script(FORKS, store.folder, server.url) == [[5, 5, 5], [3, 4], []]


def test_a_killed_server_stops_nobody_and_loses_nothing(
    store: Store, own: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, other = Live(store.folder, state=own.url), Live(store.folder, state=own.url)
    live.observe((7, 5), ("new", 6))
    live.items.delete([40])
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    before = live.history("new"), ids(live.recommend(7, 500))
    own.kill()
    for _ in range(20):
        answer = live.recommend(7, 500)
        assert "state_unreadable" in answer.reasons
        assert (live.history("new"), ids(answer)) == before
    assert "state_unreadable" in live.recommend_many([7, "new"])[1].reasons
    said = live.health()["state"]
    assert "cannot be reached" in said["error"]
    for write in (
        lambda: live.observe((7, 9)),
        lambda: live.observe((7, 9), kind="impression"),
        lambda: live.items.delete([41]),
        lambda: live.users.forget(7),
    ):
        with pytest.raises(BundleError, match="cannot be reached"):
            write()
    monkeypatch.setattr(Follower, "_overlay_of", None)  # what is known is gone on from, not made anew
    own.start()
    assert soon(lambda: "state_unreadable" not in live.recommend(7).reasons)
    live.observe((7, 8))
    live.items.delete([42])
    assert soon(lambda: "state_unreadable" not in other.recommend(7).reasons)
    monkeypatch.undo()
    for one in (live, other, Live(store.folder, state=own.url)):
        assert one.history(7)[-2:] == [5, 8]
        assert one.history("new") == [6]
        shown = set(ids(one.recommend("x", 500)))
        assert not {40, 42} & shown
        assert {41, 1000} <= shown
        assert one.health()["state"]["error"] is None
    assert "pa55" not in caplog.text + json.dumps(said)


def test_a_copy_that_lags_is_served_as_it_is(store: Store, own: Server) -> None:
    """It takes the server's place, as after a failover, without the last that was acknowledged; what comes
    then has the numbers of what was lost."""
    live = Live(store.folder, state=own.url)
    live.observe((7, 5))
    live.items.delete([40])
    own.kill()
    shutil.copytree(own.folder, own.folder.with_suffix(".copy"))
    own.start()
    assert soon(lambda: _done(lambda: live.items.delete([41])))
    live.observe((7, 6))
    assert live.history(7)[-2:] == [5, 6]
    own.kill()
    put_back(own.folder.with_suffix(".copy"), own.folder)
    own.start()
    log = open_state(own.url)
    log.delete(["42"], 2e9)
    log.observe([Event("7", "8", LATER)])
    assert soon(lambda: "state_unreadable" not in live.recommend(7).reasons)
    for one in (live, Live(store.folder, state=own.url)):
        assert one.history(7)[-2:] == [5, 8]
        shown = set(ids(one.recommend("x", 500)))
        assert 41 in shown
        assert not {40, 42} & shown


def put_back(copy: Path, folder: Path) -> None:
    owner = folder.stat()
    shutil.rmtree(folder)
    shutil.move(copy, folder)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


def _done(write: Callable[[], Any]) -> bool:
    try:
        write()
    except BundleError:
        return False
    return True


def test_a_server_that_hangs_is_not_asked_by_each_request(
    store: Store, own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, asked = Live(store.folder, state=own.url), []
    live.observe((7, 5))
    before, lost = live.history(7), reach.Reach.lost

    def counted(self: reach.Reach, why: str) -> BundleError:
        asked.append(why)
        return lost(self, why)

    monkeypatch.setattr(reach.Reach, "lost", counted)
    monkeypatch.setattr(reach, "PAUSE", 600.0)
    own.freeze()
    for _ in range(30):
        assert "state_unreadable" in live.recommend(7).reasons
    with pytest.raises(BundleError, match="cannot be reached"):
        live.observe((7, 6))
    assert len(asked) == 1
    own.thaw()
    assert "state_unreadable" in live.recommend(7).reasons  # the pause is not over
    later = Live(store.folder, state=own.url)
    assert later.history(7) == before


def test_a_network_that_is_cut_and_heals(store: Store, server: Server, network: Network) -> None:
    cut = Live(store.folder, state=through(network, server))
    whole = Live(store.folder, state=server.url)
    cut.observe((7, 5))
    network.up.clear()
    whole.observe((7, 6), ("new", 6))
    whole.items.delete([40])
    whole.items.upsert(frame([1000], [1999.0], ["Western"]))
    answer = cut.recommend(7, 500)
    assert "state_unreadable" in answer.reasons
    assert 40 in ids(answer)
    with pytest.raises(BundleError):
        cut.items.delete([41])
    network.up.set()
    assert soon(lambda: "state_unreadable" not in cut.recommend(7).reasons)
    cut.items.delete([42])
    for user in (7, "new", "x"):
        assert cut.history(user) == whole.history(user)
        assert ids(cut.recommend(user, 500)) == ids(whole.recommend(user, 500))
    assert not {40, 42} & set(ids(whole.recommend("x", 500)))


def test_the_second_machine_of_a_url_is_taken_where_the_first_hangs(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "PAUSE", 0.05)
    server = emptied("postgres", pool)
    network = Network(server.host, server.port)
    url = server.url.replace("@", f"@127.0.0.1:{network.port},")
    log = open_state(url)
    log.observe([Event("7", "5", 1)])
    network.up.clear()
    for _ in range(2):  # what it was connected with, and a new connection
        with pytest.raises(BundleError, match="cannot be reached"):
            log.events_of("7", 9)
    assert len(open_state(url).events_of("7", 9)) == 1  # a process that starts
    assert soon(lambda: _done(lambda: log.observe([Event("7", "6", 1)])), 10)
    assert len(log.events_of("7", 9)) == 2
    network.close()


def test_a_redis_that_became_a_copy_is_left(pool: dict[str, Any]) -> None:
    """By hand, nobody ends the connections to the one that was the first: its address leads elsewhere."""
    import redis

    after = emptied("redis", pool)
    with redis_server() as before, redis.Redis.from_url(before.url) as client:
        network = Network(before.host, before.port)
        log = open_state(through(network, before))
        log.observe([Event("7", "5", 1)])
        generation = log.position()[0]
        client.execute_command("REPLICAOF", after.host, after.port)
        with pytest.raises(BundleError, match=r"refuses: .*read only replica"):
            log.observe([Event("7", "6", 1)])
        network.leads_to(after.host, after.port)
        log.observe([Event("7", "6", 1)])
        assert [event.item_id for event in open_state(after.url).events_of("7", 9)] == ["6"]
        assert log.position()[0] > generation  # it lacks what was acknowledged
        network.close()


def test_a_write_whose_answer_was_lost_counts_once(server: Server, network: Network) -> None:
    log, beside = open_state(through(network, server)), open_state(server.url)
    log.observe([Event("u", "0", 1)])
    for number in range(1, 6):
        network.swallow = 1
        log.observe([Event("u", str(number), 1)])
        assert network.swallow == 0
    assert [event.item_id for event in beside.events_of("u", 99)] == ["0", "1", "2", "3", "4", "5"]


def test_a_call_with_a_key_may_be_made_again(store: Store, server: Server, network: Network) -> None:
    live, beside = Live(store.folder, state=through(network, server)), Live(store.folder, state=server.url)
    live.observe((8, 5))
    network.swallow = 99  # until nobody knows whether it was done
    with pytest.raises(BundleError, match="cannot be reached"):
        live.observe((7, 5), key="click 1")
    network.swallow = 0
    beside.observe((7, 5), key="click 1")
    assert soon(lambda: "state_unreadable" not in live.recommend(7).reasons)
    live.observe((7, 5), key="click 1")
    assert [event.item_id for event in live.users.events(7)] == ["5"]


WRITES = """
import sys, time
from funnel.errors import BundleError
from funnel.serving.state import Event, open_state
from funnel.serving.state.once import CallKey
log, number = open_state(sys.argv[1]), 0
while True:
    try:
        events = [Event("someone", str(number + 1), 1)]
        log.observe(events, CallKey.of(f"number {number + 1}", events))
        number += 1
        print(number, flush=True)
    except BundleError:
        time.sleep(0.05)
"""


def test_nothing_acknowledged_is_lost_with_a_killed_server(own: Server) -> None:
    """While it is written to: twice, and then the writer is killed too."""
    writer = subprocess.Popen([sys.executable, "-c", WRITES, own.url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = []
    for _ in range(2):
        said += [writer.stdout.readline() for _ in range(40)]
        own.kill()
        own.start()
    said += [writer.stdout.readline() for _ in range(40)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().splitlines(keepends=True)
    last = int([line for line in said if line.endswith("\n")][-1])
    writer.wait()
    kept = [int(event.item_id) for event in open_state(own.url).events_of("someone", 200)]
    assert kept in (list(range(1, last + 1))[-200:], list(range(1, last + 2))[-200:])


def test_people_ask_while_the_server_comes_and_goes(store: Store, own: Server) -> None:
    live, stop, errors = Live(store.folder, state=own.url), threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                assert len(live.recommend(7).items) == 10
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        own.kill()
        time.sleep(0.2)
        own.start()
        assert soon(lambda: _done(lambda: live.observe((7, 5))))
        assert live.history(7)[-1] == 5
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_another_log_in_its_place_is_served_as_it_is(store: Store, pool: dict[str, Any]) -> None:
    for kind in KINDS:
        server = emptied(kind, pool)
        live = Live(store.folder, state=server.url)
        live.items.delete([40])
        live.observe((7, 5))
        emptied(kind, pool)
        assert soon(lambda live=live: 40 in ids(live.recommend("x", 500)))  # type: ignore[misc]
        live.items.delete([41])
        assert 41 not in ids(live.recommend("x", 500))
        assert 41 not in ids(Live(store.folder, state=server.url).recommend("x", 500))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/db", "state is 'mysql://me:\\*\\*\\*@host/db'; a path, redis://"),
        ("redis://:secret@host:port/0", "no address of Redis"),
        ("redis://:secret@127.0.0.1:1/0", "cannot be reached"),
        ("redis://:secret@127.0.0.1:1/shop", "its database is 'shop'; a number is expected"),
        ("rediss://:secret@127.0.0.1:1/0?nonsense=1", "no address of Redis: .*'nonsense'"),
        ("redis://:se?secret@127.0.0.1:1/0", "password has a \\?, which a URL has as %3F"),
        ("redis://:se#secret@127.0.0.1:1/0", "password has a #, which a URL has as %23"),
        ("postgresql://me:se/secret@127.0.0.1:1/db", "password has a /, which a URL has as %2F"),
        ("postgresql://me:se@secret@127.0.0.1:1/db", "password has a @, which a URL has as %40"),
        ("postgresql://me:se?secret@127.0.0.1:1/db", "cannot be reached"),
        ("postgresql://me:secret@127.0.0.1:1/db", "cannot be reached"),
        ("postgresql://me:secret@host:5432/db?nonsense=1", "no address of PostgreSQL"),
        ("postgresql://me@127.0.0.1:1/db?password=secret", "cannot be reached"),
    ],
)
def test_a_url_that_leads_nowhere(
    store: Store, url: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="funnel")
    with pytest.raises(FunnelError, match=message) as error:
        Live(store.folder, state=url)
    assert "secret" not in str(error.value) + caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_in_no_message(store: Store, pool: dict[str, Any], kind: str) -> None:
    url = emptied(kind, pool).url.replace("pa55", "sesame")
    with pytest.raises(BundleError, match="cannot be reached") as error:
        Live(store.folder, state=url)
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
def test_a_redis_that_throws_keys_out_is_refused(store: Store, pool: dict[str, Any], policy: str) -> None:
    import redis

    server = emptied("redis", pool)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1gb")
        client.config_set("maxmemory-policy", policy)
        try:
            with pytest.raises(BundleError, match="needs noeviction"):
                Live(store.folder, state=server.url)
            client.config_set("maxmemory-policy", "noeviction")
            live = Live(store.folder, state=server.url)
            client.config_set("maxmemory", "1mb")
            with pytest.raises(BundleError, match=r"refuses: .*nothing was changed"):
                live.observe((7, 5))
            assert "state_unreadable" not in live.recommend(7).reasons
            assert live.health()["state"]["error"] is None
            client.config_set("maxmemory-policy", policy)  # while it is in use
            assert "needs noeviction" in live.health()["state"]["error"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "0")


def test_what_is_last_known_is_bounded() -> None:
    known = LastKnown()
    for number in range(USERS + 10):
        known.keep(str(number), [Event(str(number), str(item), item) for item in range(EVENTS + 5)])
    known.keep("10", [Event("10", "1", 1)])
    assert len(known) == USERS
    assert known.of("9") == ()
    assert [event.time for event in known.of("11")] == list(range(5, EVENTS + 5))
    known.drop("11")
    known.keep("10", [])
    assert (known.of("10"), known.of("11")) == ((), ())


@pytest.mark.parametrize(("kind", "driver"), [("redis", "redis"), ("postgresql", "psycopg")])
def test_a_driver_that_is_not_installed(kind: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("funnel.serving.state.on_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(FunnelError, match=r"funnel-rank\[(redis|postgres)\]"):
        open_state(f"{kind}://127.0.0.1/0")


def test_no_driver_is_loaded_where_none_is_needed() -> None:
    code = (
        "import json, sys, funnel; from funnel import Live; "
        "print(json.dumps([name for name in ('redis', 'psycopg') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert json.loads(done.stdout) == [], done.stderr  # forked, it would have what was loaded before
