"""One bundle in memory, and the workers that answer from it: a process that the supervisor forks.

It loads the bundle, in a thread of low priority where others answer meanwhile, forks its workers, says that
they answer, and forks another for each that ends. A bundle is loaded once for all of its workers: they share
its pages, also those that are in no file. What it says to the supervisor is one line of JSON: the version, or
what was wrong.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NoReturn

from funnel.errors import BundleError, FunnelError
from funnel.service.config import ServeConfig
from funnel.service.ending import end
from funnel.service.observing import Shared
from funnel.service.worker import Seat, work
from funnel.serving.background import started
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: Seconds between looks, and before another worker follows one that ended as soon as it had begun.
LOOK, PAUSE = 0.25, 1.0

#: Seconds that workers have to end beyond those that requests have.
LATE = 2.0


class Generation:
    """To be made and run in a process of its own, in its main thread.

    load: makes what answers. number: of the generation, from 1. control: a file descriptor that ends when the
    workers are to end, or the supervisor is gone. report: one that what came of loading is written to.
    """

    def __init__(
        self,
        load: Callable[[], Live],
        listener: socket.socket,
        config: ServeConfig,
        shared: Shared,
        number: int,
        control: int,
        report: int,
    ) -> None:
        self._load, self._listener, self._config, self._shared = load, listener, config, shared
        self._number, self._control, self._report = number, control, report
        self._live: Live | None = None
        self._workers: dict[int, float] = {}  # when each began, by process
        self._positions: dict[int, int] = {}
        self._ready, self._answers = os.pipe()  # workers write a byte when they answer
        self._waited_for = config.workers
        self._ending, self._not_before = False, 0.0
        self._woken, self._wake = socket.socketpair()

    def run(self, *, beside: bool) -> NoReturn:
        """Until all workers have ended. beside: whether others answer meanwhile."""
        code = 1
        try:
            self._begin()
            self._live = self._loaded(beside=beside)
            self._serve()
            code = 0
        except Exception as error:
            self._say({"error": type(error).__name__, "reason": str(error) or repr(error)})
            if not isinstance(error, FunnelError):
                log.exception("a bundle could not be served")
        finally:
            self._signal(signal.SIGKILL)
            end(code)

    def _begin(self) -> None:
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes

    def _end(self, *_: Any) -> None:
        """Nobody waits for a bundle that is being loaded."""
        if self._live is None:
            os._exit(0)
        self._ending = True

    def _loaded(self, *, beside: bool) -> Live:
        """The bundle. The thread gives way, not this one, whose priority workers have."""
        future: Future[Live] = started(self._load_all, give_way=beside)
        future.add_done_callback(lambda _: self._wake.send(b"\0"))
        while not future.done():
            self._wait(None)
            if self._ending:
                os._exit(0)
        live = future.result()
        gc.freeze()  # the collector would write into the pages that workers share
        return live

    def _load_all(self) -> Live:
        live = self._load()
        gc.collect()
        return live

    def _serve(self) -> None:
        while not self._ending:
            self._reap()
            self._fork_missing()
            self._wait(LOOK)
        self._signal(signal.SIGTERM)
        until = time.monotonic() + self._config.drain + LATE
        while self._workers and time.monotonic() < until:
            self._reap()
            self._wait(0.05)

    def _wait(self, seconds: float | None) -> None:
        """Until something happens. At the end of `control`, or of the process at its other end, it ends."""
        watched = [self._woken.fileno(), *([] if self._ending else [self._control])]
        watched += [self._ready] if self._waited_for and self._live is not None else []
        for descriptor in select.select(watched, [], [], seconds)[0]:
            if descriptor == self._woken.fileno():
                self._woken.recv(4096)
            elif descriptor == self._control:
                self._ending = True
            else:
                self._waited_for -= len(os.read(self._ready, self._waited_for))
                if not self._waited_for and self._live is not None:
                    self._say({"schema": self._live.served().schema.model_dump(mode="json")})

    def _say(self, what: dict[str, Any]) -> None:
        with suppress(OSError):  # the supervisor is gone
            os.write(self._report, json.dumps(what).encode() + b"\n")

    def _fork_missing(self) -> None:
        while len(self._workers) < self._config.workers and time.monotonic() >= self._not_before:
            position = min(set(range(self._config.workers)) - set(self._positions.values()))
            with warnings.catch_warnings():  # threads of libraries; `Live` is made for it
                warnings.simplefilter("ignore", DeprecationWarning)
                process = os.fork()
            if process == 0:
                self._become_worker(position)
            self._workers[process], self._positions[process] = time.monotonic(), position

    def _become_worker(self, position: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if self._ending or self._live is None:  # told between the fork and here
            os._exit(0)
        for descriptor in (self._report, self._ready):
            os.close(descriptor)
        self._woken.close()
        self._wake.close()
        own = Seat(self._number, position, self._control, self._answers)
        work(self._live, self._listener, self._config, self._shared, own)

    def _reap(self) -> None:
        """Raises: BundleError where a worker ended before all have ever answered."""
        for process, began in list(self._workers.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self._workers[process], self._positions[process]
            if self._ending:
                continue
            if self._waited_for:
                raise BundleError(f"a worker ended ({how(status)}) before it could answer; see the log")
            log.warning("worker %d ended (%s); another takes its place", process, how(status))
            if time.monotonic() - began < PAUSE:
                self._not_before = time.monotonic() + PAUSE

    def _signal(self, number: int) -> None:
        for process in self._workers:
            with suppress(ProcessLookupError):
                os.kill(process, number)


def how(status: int) -> str:
    """How a process ended, as `os.waitpid` has it."""
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
