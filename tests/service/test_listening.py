"""Connections that wait are taken together, however long a turn of the event loop is."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import pytest

from funnel import Live
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.listening import TURN, bound, waiting
from funnel.service.uvicorn_server import Server
from funnel.service.worker import settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how many wait")

BODY = b'{"user_id": 7, "k": 1}'
REQUEST = (
    b"POST /v1/recommend HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
)


def clients(port: int, n: int) -> list[socket.socket]:
    """So many, each of which has sent a request."""
    made = [socket.create_connection(("127.0.0.1", port)) for _ in range(n)]
    for client in made:
        client.sendall(REQUEST)
    return made


def test_those_that_wait_are_counted() -> None:
    listener = bound("127.0.0.1", 0)
    port = listener.getsockname()[1]
    assert waiting(listener) == 1  # whoever asks was woken
    made = clients(port, 5)
    assert waiting(listener) == 5
    listener.accept()[0].close()
    assert waiting(listener) == 4
    made += clients(port, TURN + 10)
    assert waiting(listener) == TURN
    for each in [*made, listener]:
        each.close()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    assert waiting(udp) == 1
    udp.close()


@pytest.mark.parametrize(("sharing", "least", "most"), [(1, 40, 40), (2, 20, 20), (8, 5, 5)])
def test_a_process_takes_its_share_in_a_turn(live: Live, sharing: int, least: int, most: int) -> None:
    async def run() -> int:
        config, listener = ServeConfig(), bound("127.0.0.1", 0)
        made = clients(listener.getsockname()[1], 40)
        server = Server(settings(Service(live, config), config), listener, sharing)
        server._accept()
        left = waiting(listener)
        for each in [*made, listener]:
            each.close()
        await asyncio.gather(*server._taking_over, return_exceptions=True)
        return 40 - (left if sharing > 1 else 0)

    assert least <= asyncio.run(run()) <= most


def test_clients_that_come_while_a_batch_runs_are_in_the_next_ones(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One a turn would be a batch for each of them."""
    batches: list[int] = []
    many, alone = Live.recommend_many, Live.recommend

    def slow_many(self: Live, users: list[int], *args: object, **more: object) -> object:
        batches.append(len(users))
        time.sleep(0.1)
        return many(self, users, *args, **more)  # type: ignore[arg-type]

    def slow(self: Live, *args: object, **more: object) -> object:
        batches.append(1)
        time.sleep(0.1)
        return alone(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Live, "recommend_many", slow_many)
    monkeypatch.setattr(Live, "recommend", slow)

    async def run() -> None:
        config, listener = ServeConfig(), bound("127.0.0.1", 0)
        server = Server(settings(Service(live, config), config), listener)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        made = await asyncio.to_thread(clients, listener.getsockname()[1], 40)
        answers = await asyncio.gather(*(asyncio.to_thread(_answer, each) for each in made))
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        server.end()
        await serving

    asyncio.run(run())
    assert sum(batches) == 40
    assert len(batches) <= 8


def _answer(client: socket.socket) -> bytes:
    received = b""
    while part := client.recv(65536):
        received += part
    client.close()
    return received
