"""Headers that are slow or never end, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from funnel import Live
from funnel.service import protocol
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.listening import bound
from funnel.service.uvicorn_server import Server
from funnel.service.worker import settings

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

BODY = b'{"user_id": 7, "k": 1}'
HEAD = b"POST /v1/recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


def with_server(live: Live, talk: Talk) -> None:
    """Talk with a service of this process over a socket."""

    async def run() -> None:
        config = ServeConfig()
        listener = bound("127.0.0.1", 0)
        port = listener.getsockname()[1]
        server = Server(settings(Service(live, config), config), listener)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.wait_for(talk(reader, writer), 60)
        writer.close()
        server.end()
        await serving

    asyncio.run(run())


def test_headers_that_are_slow_end_the_connection(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 0.3)

    assert ended_while(
        live, [bytes([byte]) for byte in HEAD * 100], pause=0.02
    )  # each is in time, all are not


def test_headers_that_never_end(live: Live) -> None:
    assert ended_while(live, [HEAD, *[b"x-more: " + b"y" * 1000 + b"\r\n"] * 10_000], pause=0)


def ended_while(live: Live, parts: list[bytes], pause: float) -> bool:
    """Whether the server ends the connection before all is sent, without an answer."""
    ended: list[bool] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = asyncio.create_task(reader.read())
        for part in parts:
            with suppress(ConnectionError):
                writer.write(part)
                await writer.drain()
            await asyncio.sleep(pause)
            if answer.done():
                break
        ended.append(answer.done() and (answer.exception() is not None or answer.result() == b""))
        answer.cancel()

    with_server(live, talk)
    return ended == [True]


def test_requests_in_pieces_and_one_after_another(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is whole in time is answered, also after a pause that is longer than headers may take."""
    monkeypatch.setattr(protocol, "SECONDS", 0.3)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pause in (0.0, 0.6, 0.0):
            await asyncio.sleep(pause)
            for start in range(0, len(WHOLE), 40):
                writer.write(WHOLE[start : start + 40])
                await asyncio.sleep(0.001)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert b'"items":[{' in await reader.readexactly(length)

    with_server(live, talk)


def test_pipelined_requests_are_answered_in_their_order(live: Live) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies = [b'{"user_id": %d, "k": 1}' % user for user in (7, 8, 9)]
        writer.write(b"".join(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies))
        for user in (7, 8, 9):
            await reader.readuntil(b"\r\n\r\n")
            assert b'"user_id":%d' % user in await reader.readuntil(b"}]}")

    with_server(live, talk)
