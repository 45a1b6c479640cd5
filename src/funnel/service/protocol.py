"""HTTP/1.1 as uvicorn has it, for clients that are slow or never end."""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request's line and headers.
MOST_BYTES = 65_536

#: Seconds in which they must be whole, from their first byte. Whoever has connected and says nothing has as
#: long as a connection that is kept.
SECONDS = 10.0


class Protocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers are not whole in time, or too long.

    when_idle: is told about each answer that was sent.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._late: TimerHandle | None = None
        self._bytes, self._within = 0, False
        self.when_idle: Callable[[Protocol], None] | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Wait for a request, not forever."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._late = self.loop.call_later(self.timeout_keep_alive, self._end)

    def data_received(self, data: bytes) -> None:
        """Bytes of headers count until they are whole."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._whole()
            return
        if not self._bytes:
            self._whole()
            self._late = self.loop.call_later(SECONDS, self._end)
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self._end()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request is here, and all of its answer is away."""
        answered = self.cycle is None or self.cycle.response_complete
        closing = self.transport is None or self.transport.is_closing()
        within = self._bytes or self._within or self.pipeline
        return answered and not closing and not within and not self.transport.get_write_buffer_size()

    def on_message_begin(self) -> None:
        """The first byte of a request was read."""
        self._within = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The last was."""
        self._within = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """See `when_idle`: called once what was written may be away."""
        super().on_response_complete()
        if self.when_idle is not None:
            self.loop.call_soon(self.when_idle, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._whole()
        super().connection_lost(exc)

    def _whole(self) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late, self._bytes = None, 0

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
