"""What is known of each request when it has been answered: counted, logged where it was slow, traced."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from funnel.monitoring.config import MonitorConfig
from funnel.service.admission import Scope
from funnel.service.board import Board
from funnel.service.counters import Counters
from funnel.service.instruments import INSTRUMENTS
from funnel.service.keys import Keys
from funnel.service.logs import REQUEST, request_id, summary
from funnel.service.meter import Meter, snapshot
from funnel.service.metrics import Exposition
from funnel.service.tracing import installed
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: Seconds between looks at the bundle and the state.
_LOOK = 2.0

#: The status of a request whose client went away.
_GONE = 499


@dataclass(frozen=True)
class Shared:
    """What the workers of a service have together; to be made before they are forked.

    secret: of digests. keys: as they were read then, so that a worker that begins later, when the file may be
    damaged, is there and lets nobody in; None: no key is asked for. monitor: what is watched; None: what the
    bundle in use has in its config. board: what became of what was published, where a supervisor sees to
    that. wake: what it waits for. passing: what connections go through from workers that end to those that
    follow.
    """

    counters: Counters
    secret: bytes
    keys: Keys | None = None
    monitor: MonitorConfig | None = None
    board: Board | None = None
    wake: socket.socket | None = None
    passing: tuple[socket.socket, socket.socket] | None = None

    @classmethod
    def of(
        cls,
        workers: int = 1,
        keys: Keys | None = None,
        monitor: MonitorConfig | None = None,
        board: Board | None = None,
        wake: socket.socket | None = None,
    ) -> Shared:
        """For so many workers. With a supervisor there are as many again, for while one generation follows
        another, and a row of its own behind them.
        """
        if board is None:
            return cls(Counters(INSTRUMENTS, workers), os.urandom(16), keys, monitor)
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in ends:
            end.setblocking(False)
        counters = Counters(INSTRUMENTS, 2 * workers + 1)
        return cls(counters, os.urandom(16), keys, monitor, board, wake, ends)


@dataclass(slots=True)
class Begun:
    """A request on its way."""

    request: str
    since: float
    span: Any


class Observer:
    """Of one worker, to be used in its event loop. slow: seconds from which a request is logged."""

    def __init__(self, live: Live, shared: Shared, worker: int, slow: float) -> None:
        self._live, self.shared, self._slow = live, shared, slow
        self.meter = Meter(shared.counters.row(worker))
        try:
            self.meter.bundle(snapshot(live, shared.board))
        except Exception:  # as in `_look`
            log.exception("the bundle and the state could not be looked at")
        self._tracing, self._in_flight = installed(), 0

    def begin(self, scope: Scope) -> Begun:
        """A request has come."""
        self._in_flight += 1
        request = request_id(scope["headers"])
        REQUEST.set(request)
        span = None if self._tracing is None else self._tracing.begin(scope)
        return Begun(request, perf_counter(), span)

    def end(self, scope: Scope, begun: Begun, route: str, status: int) -> None:
        """It has been answered. status: 0 where nothing was sent."""
        seconds, status = perf_counter() - begun.since, status or _GONE
        self._in_flight -= 1
        self.meter.request(route, status, seconds, self._in_flight)
        if begun.span is not None and self._tracing is not None:
            self._tracing.end(begun.span, route, status, begun.request)
        if seconds >= self._slow:
            about = summary(scope.get("body", b""), self.shared.secret)
            fields = {"route": route, "status": status, "seconds": round(seconds, 6), "body": about}
            log.warning("a slow request", extra={"fields": fields})

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all workers, and their type. Raises: FunnelError, see `Exposition`."""
        await self._look()
        return await asyncio.to_thread(Exposition(self.shared.counters).text, accept)

    async def watch(self) -> None:
        """Look at the bundle and the state now and then, so that other workers can tell."""
        while True:
            await asyncio.sleep(_LOOK)
            await self._look()

    async def close(self) -> None:
        """Write what waits for the log of answers, and look for the last time: what is counted there has not
        been seen yet since the last look."""
        await asyncio.to_thread(self._live.recording.close)
        await self._look()

    async def _look(self) -> None:
        """What cannot be looked at stops nobody: the last look stays, and it is tried again."""
        try:
            self.meter.bundle(await asyncio.to_thread(snapshot, self._live, self.shared.board))
        except Exception:
            log.exception("the bundle and the state could not be looked at")
