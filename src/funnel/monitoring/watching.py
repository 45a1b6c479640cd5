"""Watches one `Live`: reads what was logged, asks golden answers, makes sampled answers again, and tells.

    watch = Watch(live, MonitorConfig())
    watch.start()

One process of a store at a time reads the log of answers, whichever has the lock on `live/monitor/lock`; each
asks golden answers of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.errors import BundleError, DataError
from funnel.impressions.files import answers_folder
from funnel.impressions.record import Impression
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counting import Counting, Remade
from funnel.monitoring.counts import Counts
from funnel.monitoring.events import Events
from funnel.monitoring.files import ACCEPTED, ALARMS, MEMORY, monitor_folder, read, write
from funnel.monitoring.golden import Golden
from funnel.monitoring.measures import Measures
from funnel.monitoring.monitor import Monitor
from funnel.monitoring.reading import LogTail, Unsettled
from funnel.monitoring.reference import SecondOverlay
from funnel.monitoring.remaking import remake
from funnel.monitoring.replayed import ReplayCheck
from funnel.monitoring.webhook import sender
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: Times that what is served and the reference are brought to the same changes.
_TRIES = 3


class Watch:
    """Of one `Live`, to be used by one thread.

    tell: is called with each new alarm, beside the log line and the webhook. answers: the folder of the log
    of answers, and folder: where it keeps what it knows; default those of the store. counted: is called with
    what each look counted, where it is set; while another process reads the log, none counts.
    Raises: DataError where what was learned is damaged.
    """

    def __init__(
        self,
        live: Live,
        config: MonitorConfig | None = None,
        tell: Callable[[Alarm], None] | None = None,
        *,
        answers: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        self.live, self.config = live, config or MonitorConfig()
        self.folder = folder or monitor_folder(live.folder)
        self.counted: Callable[[Counts], object] | None = None
        self.monitor = Monitor(self.config)
        self.monitor.load(self.folder / MEMORY)
        self._tell, self._send = tell, sender(self.config.webhook, self.config.timeout, self.config.attempts)
        self._tail, self._events = (
            LogTail(answers or answers_folder(live.folder), self.config.answers),
            Events(live.state, live.overlay.events_at),
        )
        self._waiting = Unsettled(self.config.settle, self.config.every)
        self._replayed = ReplayCheck()
        self._lock: IO[bytes] | None = None
        self._of: _OfBundle | None = None
        self._unread: BundleError | None = None
        self.looked: float | None = None

    @property
    def measures(self) -> Measures:
        """What is measured of answers of the version in use."""
        return self._of_bundle().measures

    def look(self, now: float | None = None) -> list[Alarm]:
        """Look once; new alarms. now: default the clock's.

        Raises: BundleError where the state cannot be read, once all that does not need it was looked at, told
        and kept.
        """
        now = time.time() if now is None else now
        of, self._unread = self._of_bundle(), None
        alarms, counts = self._golden(of, now), None
        if self._leads():
            self._accept()
            counts = Counts()
            counts.age = (now - of.data_read) / 3600 if of.data_read else None
            remade = self._read(of, now, counts)
            alarms += self._replayed.alarms(now, remade)
            if self.counted is not None:
                self.counted(counts)
        new = self.monitor.step(now, counts, alarms)
        self._report(new)
        self.looked = now
        if self._lock is not None:
            self._save(now)
        if self._unread is not None:
            raise self._unread
        return new

    def _of_bundle(self) -> _OfBundle:
        """What belongs to the version in use, made anew where that is another."""
        loaded = self.live.served()
        if self._of is None or self._of.version != loaded.version:
            self._of = _OfBundle(self.live, self.config, self.monitor)
        return self._of

    def _golden(self, of: _OfBundle, now: float) -> list[Alarm]:
        if not self.config.golden:
            return []
        reference = None
        for _ in range(_TRIES):
            served = self.live.served().contents
            with self._state():
                reference = reference or of.reference.beside(self.live.overlay)
        of.golden.look(self.live.overlay.own, served, reference, self.config.golden)
        return of.golden.alarms(now, of.version)

    def _read(self, of: _OfBundle, now: float, counts: Counts) -> list[Remade]:
        """What was logged since the last look: counted, and what was sampled made again."""
        impressions, feedback = self._tail.read(now), None
        with self._state():
            feedback = self._events.read()
        of.counting.goes_by(self._events.log)
        of.counting.answers(counts, impressions)
        counts.answers = round(counts.answers / self._tail.share)
        of.counting.mark(now, self._events.at)
        self._waiting.add(impressions, feedback or [])
        if self.monitor.jump(now):
            self._waiting.forget()
        if feedback is not None:  # else nobody knows yet what came of them: they go on waiting
            of.counting.feedback(counts, *self._waiting.settled(now))
        some = [impression for impression in impressions if impression.request][: self.config.replay]
        remade = list[Remade]()
        with self._state():
            remade = self._remade(of, some)
        of.counting.remade(counts, remade)
        return remade

    @contextmanager
    def _state(self) -> Iterator[None]:
        """While the state is read: where it cannot be, the look goes on, and raises why at its end."""
        try:
            yield
        except BundleError as error:
            self._unread = error

    def _remade(self, of: _OfBundle, some: list[Impression]) -> list[Remade]:
        """Of none it is known whether they are the same where the log has dropped events too soon."""
        remade = remake(of.reference, some)
        if of.exact and not of.reference.counts_as(self.live.overlay):
            of.exact = False
            log.warning("the log has dropped events that were counted: answers made again are not compared")
        return remade if of.exact else [answer._replace(equal=None) for answer in remade]

    def _leads(self) -> bool:
        """Whether this process reads the log of answers."""
        if self._lock is not None:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        file = (self.folder / "lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        self.monitor.load(self.folder / MEMORY)  # what another process learned since
        return True

    def _accept(self) -> None:
        """What people said is right."""
        path = self.folder / ACCEPTED
        for name in accepted(path):
            self.monitor.accept(name)
            log.warning("what is seen of %s is right from now on", name)
        path.unlink(missing_ok=True)

    def _report(self, new: Sequence[Alarm]) -> None:
        for alarm in new:
            log.error("alarm: %s", alarm.sentence, extra={"fields": alarm.to_dict()})
            for tell in (self._tell, self._send):
                if tell is not None:
                    tell(alarm)

    def _save(self, now: float) -> None:
        """Whatever cannot be written is logged, and tried again at the next look."""
        try:
            write(self.folder / ALARMS, self.verdict(now))
            if int(now) // 3600 != self._saved_hour:
                self.monitor.save(self.folder / MEMORY)
                self._saved_hour = int(now) // 3600
        except OSError as error:
            log.error("what the monitor knows cannot be kept: %s", error)

    _saved_hour = -1

    def verdict(self, now: float) -> dict[str, Any]:
        """What is wrong now, ready for JSON."""
        return {
            "at": now,
            "version": self.live.version,
            "process": os.getpid(),
            "alarms": [alarm.to_dict() for alarm in self.monitor.open.values()],
        }

    def close(self) -> None:
        """Keep what was learned, and let another process lead."""
        if self._lock is not None:
            self._saved_hour = -1
            self._save(self.looked or time.time())
            self._lock.close()
            self._lock = None


def accepted(path: Path) -> list[str]:
    """Names that people accepted and nobody has taken up; none where the file is damaged, which is logged."""
    try:
        return [str(name) for name in (read(path) or {}).get("names", [])]
    except DataError as error:
        log.error("%s", error)
        return []


class _OfBundle:
    """What belongs to one version."""

    def __init__(self, live: Live, config: MonitorConfig, monitor: Monitor) -> None:
        bundle = live.overlay.bundle
        self.version, self.data_read = bundle.version, bundle.data_read
        holdout = Holdout.load(live.store.path(bundle.version) / HOLDOUT, bundle.contents)
        requests = holdout.examples.requests
        self.measures = Measures.of(bundle.version, bundle.contents, requests, monitor.memory.edges)
        monitor.memory.edges = {**self.measures.edges(), **monitor.memory.edges}
        self.exact = True
        self.golden = Golden(holdout, bundle.manifest.seed)
        self.reference = SecondOverlay(bundle, live.state)
        self.counting = Counting(self.measures, bundle.contents.catalogue.ids.row, config.parts)
