"""HTTP/1.1 as uvicorn has it, for clients that are slow or never end."""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request's line and headers.
MOST_BYTES = 65_536

#: Seconds in which they must be whole, from their first byte. Whoever has connected and says nothing has as
#: long as a connection that is kept.
SECONDS = 10.0


class Protocol(HttpToolsProtocol):
    """Ends a connection whose request line and headers are not whole in time, or too long."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._late: TimerHandle | None = None
        self._bytes = 0

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
