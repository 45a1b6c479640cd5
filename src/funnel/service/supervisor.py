"""Keeps so many workers alive on one socket.

A bundle is loaded once, before workers are forked: they share its pages, also those that are in no file, and
another one is there in milliseconds. The socket is one for all, and is never closed while the service runs:
connections that a worker had not taken when it was killed are taken by another.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from funnel.artifacts.store import CURRENT, Store
from funnel.errors import ConfigError, FunnelError
from funnel.impressions import ImpressionsConfig
from funnel.monitoring.config import MonitorConfig
from funnel.service.config import ServeConfig
from funnel.service.keys import Keys, check_address
from funnel.service.logs import log_as_json
from funnel.service.observing import Shared
from funnel.service.worker import work
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: Connections that wait to be taken.
BACKLOG = 2048

#: Seconds between looks, and before another worker follows one that ended as soon as it had begun.
LOOK, PAUSE = 0.25, 1.0


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: ConfigError where the address cannot be had, saying why."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}; give another host or port"
        ) from error
    listener.setblocking(False)
    return listener


class Supervisor:
    """Forks workers, and others for those that end, until SIGTERM or SIGINT.

    live: loaded, and not used by a thread. listener: see `bound`. keys: None where none is asked for.
    monitor: what is watched; None: what the bundle in use has in its config. To be run in the main thread.
    """

    def __init__(
        self,
        live: Live,
        listener: socket.socket,
        config: ServeConfig,
        keys: Keys | None = None,
        monitor: MonitorConfig | None = None,
    ) -> None:
        self._live, self._listener, self._config = live, listener, config
        self._workers: dict[int, float] = {}  # when each began, by process
        self._rows: dict[int, int] = {}  # the row of each in what is shared
        self._shared = Shared.of(config.workers, keys, monitor)
        self._ending, self._loading, self._not_before = False, False, 0.0
        self._current = _mark(live.folder / CURRENT)
        self._parent, self._held = os.pipe()  # workers wait for the end of what only this process holds
        self._woken, self._wake = socket.socketpair()

    def run(self) -> None:
        """Until all workers have ended."""
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes
        gc.collect()
        gc.freeze()  # the collector would write into the pages that workers share
        while not self._ending:
            self._reap()
            self._fork_missing()
            self._refresh()
            self._wait(LOOK)
        self._listener.close()
        self._stop_workers()

    def _end(self, *_: Any) -> None:
        """Workers are told at once, and a bundle that is being loaded is not waited for."""
        self._ending = True
        self._signal(signal.SIGTERM)
        if self._loading:
            self._loading = False
            raise _LoadEnded

    def _wait(self, seconds: float) -> None:
        if select.select([self._woken], [], [], seconds)[0]:
            self._woken.recv(4096)

    def _fork_missing(self) -> None:
        while len(self._workers) < self._config.workers and time.monotonic() >= self._not_before:
            row = min(set(range(self._config.workers)) - set(self._rows.values()))
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", DeprecationWarning
                )  # threads of libraries; `Live` is made for it
                process = os.fork()
            if process == 0:
                self._become_worker(row)
            self._workers[process], self._rows[process] = time.monotonic(), row

    def _become_worker(self, row: int) -> None:
        """Never returns."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if self._ending:  # told between the fork and here
            os._exit(0)
        os.close(self._held)
        self._woken.close()
        self._wake.close()
        work(self._live, self._listener, self._config, self._parent, self._shared, row)

    def _reap(self) -> None:
        for process, began in list(self._workers.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                continue
            del self._workers[process], self._rows[process]
            if not self._ending:
                log.warning("worker %d ended (%s); another takes its place", process, _how(status))
                if time.monotonic() - began < PAUSE:
                    self._not_before = time.monotonic() + PAUSE

    def _refresh(self) -> None:
        """Have the published bundle at hand for the next worker; running ones see for themselves."""
        mark = _mark(self._live.folder / CURRENT)
        if mark != self._current:
            self._current = mark
            with suppress(FunnelError, _LoadEnded):  # an error is in the log, and in that of every worker
                self._loading = not self._ending
                if self._loading:
                    self._live.refresh()
                    gc.freeze()
            self._loading = False

    def _stop_workers(self) -> None:
        """SIGTERM to all, and SIGKILL to those that do not end in time."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + self._config.drain + 2
        while self._workers and time.monotonic() < until:
            self._reap()
            self._wait(0.05)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for process in self._workers:
            with suppress(ProcessLookupError):
                os.kill(process, number)


class _LoadEnded(BaseException):
    """Raised where a bundle is being loaded when the process is told to end; no `except Exception`
    takes it."""


def serve(
    store: Store,
    config: ServeConfig,
    ready: Callable[[str, str], None],
    impressions: ImpressionsConfig | None = None,
    monitor: MonitorConfig | None = None,
) -> None:
    """Serve what is published in a store, until SIGTERM or SIGINT.

    Without keys only loopback is listened on: whoever reaches the service may do everything.
    Logs are set up for the process, see `[serve] logs`.

    ready: told the address and the version when connections are taken. impressions: see `Live`.
    monitor: see `Supervisor`.

    Raises: ConfigError where the address cannot be had, others would reach it without keys, or the file of
    keys is damaged; BundleError where nothing can be served.
    """
    if not hasattr(os, "fork"):
        raise FunnelError("`funnel serve` forks its workers, which this system cannot; run it in a container")
    check_address(config.host, keys=bool(config.keys))
    keys = Keys(Path(config.keys).resolve()) if config.keys else None
    if config.logs == "json" or (config.logs == "auto" and not sys.stderr.isatty()):
        log_as_json()
    with bound(config.host, config.port) as listener:
        live = Live(store, state=config.state or None, impressions=impressions)
        host, port = listener.getsockname()[:2]
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", live.version)
        Supervisor(live, listener, config, keys, monitor).run()


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
