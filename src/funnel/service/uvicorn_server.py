"""uvicorn, as a worker runs it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn

from funnel.service.protocol import Protocol


class Server(uvicorn.Server):
    """Ended by `end` alone. answers: called when connections are taken."""

    def __init__(self, settings: uvicorn.Config, answers: Callable[[], object] = lambda: None) -> None:
        super().__init__(settings)
        self._answers = answers
        self._taking_over: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the worker."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        self._answers()

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
        for server in self.servers:
            server.close()

    def end(self) -> None:
        """Take no more connections, and let requests in flight end."""
        self.should_exit = True
