"""Connections that nobody waits on go from workers that end to those that follow, as they are.

To close them would lose what a client has just sent: it cannot know that nobody reads it any more. So an idle
connection is sent to another process (`SCM_RIGHTS`), and is closed here: the client sees nothing of it, and
whatever it has sent meanwhile is read there. A connection that is used goes when its answer has been sent.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress

from funnel.service.listening import TURN
from funnel.service.protocol import Protocol
from funnel.service.uvicorn_server import Server

#: Seconds between tries where those that follow have not taken yet what was sent.
AGAIN = 0.01


class Passing:
    """Of one worker, to be used in its event loop. ends: what connections are put into, and taken from; all
    workers have both.
    """

    def __init__(self, server: Server, ends: tuple[socket.socket, socket.socket]) -> None:
        self._server, (self._given, self._taken) = server, ends
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Take what others leave, until `leave`."""
        self._loop.add_reader(self._taken.fileno(), self._take)

    def _take(self) -> None:
        with suppress(BlockingIOError):  # another worker was faster
            for _ in range(TURN):
                for descriptor in socket.recv_fds(self._taken, 1, 1)[1]:
                    self._server.take_over(socket.socket(fileno=descriptor))

    async def leave(self, seconds: float) -> None:
        """Take nothing more, and pass on each connection when it is idle; until none is left, or so many
        seconds have gone by."""
        self._loop.remove_reader(self._taken.fileno())
        self._server.take_no_more()
        until = time.monotonic() + seconds
        while self._server.protocols and time.monotonic() < until:
            for protocol in self._server.protocols:
                protocol.when_idle = self._pass
                self._pass(protocol)
            await asyncio.sleep(AGAIN)
        self._server.end()

    def _pass(self, protocol: Protocol) -> None:
        """Where it is idle, and others have room for it; else it is tried again."""
        if not protocol.is_idle:
            return
        protocol.transport.pause_reading()
        own: socket.socket = protocol.transport.get_extra_info("socket")
        try:
            socket.send_fds(self._given, [b"."], [own.fileno()])
        except OSError:
            protocol.transport.resume_reading()
        else:
            protocol.transport.close()  # this process's hold of it: it is open in the other
