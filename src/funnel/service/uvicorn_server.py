"""uvicorn, as a worker runs it.

Connections are taken here and not by the event loop's own server: libuv takes one a turn, and under full load
a turn is a batch of requests, so that a hundred new clients would wait for a hundred batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator

import uvicorn

from funnel.service.listening import waiting
from funnel.service.protocol import Protocol

log = logging.getLogger(__name__)

#: Seconds before connections are taken again where none could be.
PAUSE = 1.0


class Server(uvicorn.Server):
    """Ended by `end` alone. listener: listens, and does not block. sharing: how many processes take
    connections from it. answers: called when connections are taken."""

    def __init__(
        self,
        settings: uvicorn.Config,
        listener: socket.socket,
        sharing: int = 1,
        answers: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(settings)
        self._listener, self._sharing, self._answers = listener, sharing, answers
        self._taking_over: set[asyncio.Task[None]] = set()
        self._takes = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the worker."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup([])
        self._take_connections()
        self._answers()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and end when requests in flight have ended."""
        self.take_no_more()
        self._listener.close()
        await super().shutdown([])

    def _take_connections(self) -> None:
        self._takes = True
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        """This process's share of those that wait."""
        try:
            for _ in range(-(-waiting(self._listener) // self._sharing)):
                self.take_over(self._listener.accept()[0])
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or nobody is there any more
        except OSError as error:  # such as no more descriptors: they come back as connections end
            log.error("no connection can be taken for %s s: %s", PAUSE, error)
            self.take_no_more()
            asyncio.get_running_loop().call_later(PAUSE, self._take_connections)

    @property
    def protocols(self) -> list[Protocol]:
        """One for each connection."""
        return [protocol for protocol in self.server_state.connections if isinstance(protocol, Protocol)]

    def take_over(self, connection: socket.socket) -> None:
        """Answer on a connection that another process had taken."""
        task = asyncio.get_running_loop().create_task(self._taken_over(connection))
        self._taking_over.add(task)
        task.add_done_callback(self._taking_over.discard)

    async def _taken_over(self, connection: socket.socket) -> None:
        def protocol() -> Protocol:
            return Protocol(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=asyncio.get_running_loop(),
            )

        connection.setblocking(False)
        with contextlib.suppress(OSError):  # it has ended
            await asyncio.get_running_loop().connect_accepted_socket(protocol, connection)

    def take_no_more(self) -> None:
        """Take no more connections; those that there are go on."""
        if self._takes:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._takes = False

    def end(self) -> None:
        """Take no more connections, and let requests in flight end."""
        self.should_exit = True
