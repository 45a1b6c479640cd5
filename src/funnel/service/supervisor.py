"""Keeps a service answering on one socket: a generation of workers a bundle, one behind the other.

The supervisor itself loads nothing. It forks a process for what is published, see
`funnel.service.generation`, which loads it and forks workers. What is published next is loaded by the next
such process, which gives way to those that answer; once its workers answer, those before it take nothing more
and end with what they have in flight. Where it cannot be loaded, they go on. The socket is one for all, and
is never closed while the service runs: connections that nobody had taken are taken by whoever is there.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import funnel.errors
from funnel.artifacts.store import CURRENT, Store
from funnel.catalogue.schemas import check_columns, load_schema
from funnel.data import Schema
from funnel.errors import BundleError, FunnelError
from funnel.impressions import ImpressionsConfig
from funnel.monitoring.config import MonitorConfig
from funnel.service.board import Board, ServedOutcome
from funnel.service.config import ServeConfig
from funnel.service.generation import LATE, LOOK, Generation, how
from funnel.service.instruments import REFUSALS, RELOADS
from funnel.service.keys import Keys, check_address
from funnel.service.listening import bound
from funnel.service.logs import log_as_json
from funnel.service.observing import Shared
from funnel.service.started import StartedGeneration
from funnel.serving.live import Live
from funnel.serving.loaded import Refused
from funnel.serving.watcher import Tries, mark

log = logging.getLogger(__name__)


class Supervisor:
    """Has one generation serve, and another when it is published, until SIGTERM or SIGINT.

    listener: see `bound`. keys: None where none is asked for. impressions: see `Live`. monitor: what is
    watched; None: what the bundle in use has in its config. To be used in the main thread.
    """

    def __init__(
        self,
        store: Store,
        listener: socket.socket,
        config: ServeConfig,
        keys: Keys | None = None,
        impressions: ImpressionsConfig | None = None,
        monitor: MonitorConfig | None = None,
    ) -> None:
        self._impressions = impressions
        self._store, self._listener, self._config = store, listener, config
        self._woken, wake = socket.socketpair()
        self._board = Board()
        self._shared = Shared.of(config.workers, keys, monitor, self._board, wake)
        self._counts = self._shared.counters.rows()[-1]
        self._serving: StartedGeneration | None = None
        self._coming: StartedGeneration | None = None
        self._before: list[StartedGeneration] = []  # which are about to end
        self._outcome, self._schema = ServedOutcome(), Schema()
        self._tries, self._looked, self._at_once = Tries(config.watch), time.monotonic(), False
        self._ending = False

    def start(self) -> str:
        """Have what is published answer; the version. Raises: FunnelError where it cannot."""
        wake = self._shared.wake
        assert wake is not None
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes
        gc.collect()
        gc.freeze()
        self._start(self._store.current())
        while self._coming is not None and not self._ending:
            self._wait(LOOK)
        if self._serving is None and not self._ending:
            self._end_all()
            raise self._wrong
        return self._outcome.version

    def run(self) -> None:
        """Until it is told to end, and all have."""
        while not self._ending:
            self._look()
            self._wait(LOOK)
        self._end_all()

    def _end(self, *_: Any) -> None:
        self._ending = True

    @property
    def _all(self) -> list[StartedGeneration]:
        return [*self._before, *filter(None, (self._serving, self._coming))]

    def _wait(self, seconds: float) -> None:
        """Until something happens, and see to it."""
        coming = [] if self._coming is None or self._ending else [self._coming.report]
        ready = select.select([self._woken.fileno(), *coming], [], [], seconds)[0]
        if self._woken.fileno() in ready:
            self._at_once |= 0 in self._woken.recv(4096)  # of a worker; others are numbers of signals
        if coming and coming[0] in ready:
            self._hear(self._coming)
        self._reap()

    def _hear(self, coming: StartedGeneration | None) -> None:
        message = None if coming is None else coming.heard()
        if coming is None or message is None:
            return
        if "error" in message:
            kind = getattr(funnel.errors, message["error"], BundleError)
            self._refuse(coming.version, kind(message["reason"]))
        else:
            self._take_over(coming, Schema.model_validate(message["schema"]))

    def _take_over(self, coming: StartedGeneration, schema: Schema) -> None:
        """Its workers answer: those before it may end."""
        before, self._serving, self._coming = self._serving, coming, None
        fresh = coming.version != self._outcome.version
        if fresh and before is not None:
            self._counts.add(RELOADS.name)
        self._tell(
            generation=coming.number, version=coming.version, at=time.time(), refused=None,
            reloads=self._outcome.reloads + (fresh and before is not None),
        )  # fmt: skip
        self._schema = schema
        self._tries.ended(well=True)
        if before is not None:
            log.info("now serving %s", coming.version)
            before.end()
            self._before += [] if before.ended else [before]

    def _refuse(self, version: str, error: Exception) -> None:
        """What serves goes on."""
        self._wrong = error
        if self._coming is not None:
            self._coming.end()
            self._before += [] if self._coming.ended else [self._coming]
            self._coming = None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._tell(refusals=self._outcome.refusals + 1, refused=Refused(version, str(error), now))
        self._counts.add(REFUSALS.name)
        self._tries.ended(well=False)
        if self._outcome.version:  # else it is what the command ends with
            served = self._outcome.version
            log.error("%s goes on being served, %s was refused: %s", served, version, error)

    def _tell(self, **changes: Any) -> None:
        self._outcome = replace(self._outcome, tries=self._outcome.tries + 1, **changes)
        self._board.write(self._outcome)

    def _look(self) -> None:
        """Whether another version is published, every so many seconds, and at once where a worker says so."""
        if self._coming is not None or self._before:
            return
        now = time.monotonic()
        if not self._at_once and now - self._looked < self._config.watch:
            return
        self._at_once, self._looked = False, now
        if self._serving is not None and self._serving.ended:
            self._again()
        elif self._tries.due(mark(self._store.folder / CURRENT)):
            self._try()

    def _try(self) -> None:
        """Serve what is published."""
        try:
            published = self._store.current()
        except FunnelError as error:
            self._refuse("none", error)
            return
        if published != self._outcome.version or self._serving is None or self._serving.ended:
            self._start(published)
            return
        self._tell(refused=None)
        self._tries.ended(well=True)

    def _again(self) -> None:
        """Serve what was served; where that fails, what is published, in turns."""
        refused = self._outcome.refused
        if refused is not None and refused.version == self._outcome.version:
            self._try()
        else:
            self._start(self._outcome.version)

    def _start(self, version: str) -> None:
        """Fork what loads a version."""
        number, served = self._outcome.generation + 1, (self._outcome.version, self._schema)
        beside = self._serving is not None and not self._serving.ended

        def load() -> Live:
            if served[0]:
                check_columns(*served, version, load_schema(self._store.path(version)))
            state = self._config.state or None
            return Live(self._store, version, state=state, impressions=self._impressions)

        def run(control: int, report: int) -> NoReturn:
            self._woken.close()
            own = Generation(load, self._listener, self._config, self._shared, number, control, report)
            own.run(beside=beside)

        self._coming = StartedGeneration.forked(number, version, self._all, run)

    def _reap(self) -> None:
        for started in self._all:
            ended, status = (0, 0) if started.ended else os.waitpid(started.process, os.WNOHANG)
            if not ended:
                continue
            started.ended = True
            if self._ending:
                continue
            if started is self._coming:
                self._hear(started)  # it may have message why, as the last thing it did
            if started is self._coming:
                self._refuse(
                    started.version, BundleError(f"the process that loaded it ended ({how(status)})")
                )
            if started is self._serving:
                log.error("the parent of workers ended (%s); they go on until others answer", how(status))
                self._at_once = True
        self._before = [started for started in self._before if not started.ended]
        self._reap_adopted({started.process for started in self._all if not started.ended})

    def _reap_adopted(self, own: set[int]) -> None:
        """The first process of a container is given the workers whose parent was killed: until it has heard
        of their end, they look as if they lived. own: what is to be heard of elsewhere."""
        with suppress(ChildProcessError, AttributeError):  # there are no children; macOS has no such call
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            while (ended := os.waitid(os.P_ALL, 0, options)) is not None and ended.si_pid not in own:
                os.waitpid(ended.si_pid, 0)

    def _end_all(self) -> None:
        """In time, or by force."""
        self._listener.close()
        for started in self._all:
            started.end()
            started.signal(signal.SIGTERM)
        until = time.monotonic() + self._config.drain + 2 * LATE
        while any(not started.ended for started in self._all) and time.monotonic() < until:
            self._wait(0.05)
        for started in self._all:
            started.signal(signal.SIGKILL)


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

    ready: told the address and the version when the service answers. impressions: see `Live`. monitor: see
    `Supervisor`.

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
        host, port = listener.getsockname()[:2]
        supervisor = Supervisor(store, listener, config, keys, impressions, monitor)
        version = supervisor.start()
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}", version)
        supervisor.run()
