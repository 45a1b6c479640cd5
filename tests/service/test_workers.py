"""Real processes: workers that are killed, a parent that is, bundles that change, an end without a loss."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from funnel import Live
from tests.processes import refused
from tests.service.server import Client, Server, clients, server, soon

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux' /proc")


def more(every: list[Client]) -> bool:
    """Whether each goes on being answered."""
    before = [len(client.answered) for client in every]
    return soon(lambda: all(len(client.answered) > n + 4 for client, n in zip(every, before, strict=True)))


def nothing_was_lost(store: Path, every: list[Client]) -> None:
    """Every event that was acknowledged is kept; of a request that was cut off, it may be."""
    live = Live(store)
    for client in every:
        kept = len(live.users.events(f"client-{client.number}"))
        assert client.acknowledged <= kept <= client.acknowledged + len(client.lost)
    live.close()


def test_a_killed_worker_costs_only_its_own_connections(indexes: Path) -> None:
    with server(indexes, "--workers", "2") as running, clients(running, 8) as every:
        assert soon(lambda: all(running.ports(worker) for worker in running.workers()))
        first, second = running.workers()
        theirs = running.ports(first)
        os.kill(first, signal.SIGKILL)
        assert soon(lambda: first not in running.workers() and len(running.workers()) == 2)
        assert second in running.workers()
        assert more(every)
        lost = {port for client in every for port in client.lost}
        assert lost <= theirs
        assert {status for client in every for status in client.answered} == {200}
        for client in every:
            client.stop = True
    nothing_was_lost(indexes, every)


def test_all_workers_killed_again_and_again(indexes: Path) -> None:
    """Whoever connects meanwhile waits for the next, and is answered."""
    with server(indexes, "--workers", "1") as running:
        for _ in range(3):
            (worker,) = running.workers()
            os.kill(worker, signal.SIGKILL)
            assert running.post("/v1/recommend", {"user_id": 7})[0] == 200
            assert running.workers() != [worker]


def test_sigterm_loses_nothing(indexes: Path) -> None:
    """Who is connected gets an answer that says that the connection ends; then nobody is let in."""
    with server(indexes, "--workers", "2") as running, clients(running) as every:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
        assert soon(lambda: all(client.refused or client.lost for client in every))
        assert {status for client in every for status in client.answered} == {200}
    nothing_was_lost(indexes, every)


def test_workers_end_with_their_parent(indexes: Path) -> None:
    with server(indexes, "--workers", "2") as running:
        workers = running.workers()
        running.process.kill()
        running.process.wait()
        assert soon(lambda: not any(alive(worker) for worker in workers))
        assert soon(lambda: not answers(running))


def alive(process: int) -> bool:
    """Whether it runs: one that has ended may wait for somebody to look."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(running: Server) -> bool:
    try:
        return running.get("/health/live")[0] == 200
    except OSError:
        return False


def test_a_slow_client_hurts_nobody(indexes: Path) -> None:
    with server(indexes) as running:
        slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(50)]
        for number, client in enumerate(slow):  # nothing, half a header, half a body
            client.sendall((b"", b"POST /v1/rec", HALF)[number % 3])
        with clients(running, 2) as every:
            assert more(every)
        assert {status for client in every for status in client.answered} == {200}
        for client in slow:
            client.close()
        assert running.get("/health/ready")[0] == 200


HALF = b'POST /v1/recommend HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"user'


def test_addresses_that_cannot_be_had(indexes: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "give another host or port" in refused("serve", "--store", indexes, "--port", port)
    assert "there are no keys" in refused("serve", "--store", indexes, "--host", "0.0.0.0")
    assert "nothing is published" in refused("serve", "--store", indexes.parent, "--port", 0)
