"""The monitor: takes what was counted since its last look, and says what is wrong.

It knows no clock, no files and no bundle: `now` and counts are given, so that a month passes in a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Rate, Variable
from funnel.monitoring.drift import Drift
from funnel.monitoring.labels import Labels
from funnel.monitoring.memory import HOUR, MonitorMemory
from funnel.monitoring.rates import RateDetectors
from funnel.monitoring.windows import Like, Windows

log = logging.getLogger(__name__)

#: Seconds after which an alarm is over that was not raised again.
OVER = 3600.0

#: Seconds by which a clock may go back unseen, and seconds without a look after which it begins anew.
BACK, PAUSE = 30.0, 600.0

#: Hours of the day that stand for the same hour while there is no other day.
_TODAY = 12


class Monitor:
    """Watches one stream of answers.

    open: alarms that are going on, by key. memory: what was seen before.
    """

    def __init__(self, config: MonitorConfig | None = None, memory: MonitorMemory | None = None) -> None:
        self.config = config or MonitorConfig()
        self.memory = memory or MonitorMemory(self.config.days, self.config.anchor_days)
        self.open: dict[str, Alarm] = {}
        self._last_seen: dict[str, float] = {}
        self._hour: int | None = None
        self._looked: float | None = None
        self._counts = Counts()
        self._rates, self._labels = RateDetectors(self.config), Labels(self.config)
        self._windows, self._drift = Windows(self.config), Drift(self.config)

    def jump(self, now: float) -> float:
        """Seconds from the last look, where it is not known what time went by: less than 0 where the clock
        went back, many where nobody looked for long or it went forward; 0 where looks go on as usual."""
        if self._looked is None:
            return 0.0
        seconds = now - self._looked
        return 0.0 if -BACK < seconds < max(PAUSE, 3 * self.config.every) else seconds

    def step(self, now: float, counts: Counts | None, others: Iterable[Alarm] = ()) -> list[Alarm]:
        """Look once; alarms that were not going on. now: seconds since 1970, a look's length after the last.
        counts: since the last look; None while another process counts, which is no traffic missing. others:
        what others have found, such as golden answers."""
        alarms = list(others)
        if jump := self.jump(now):
            alarms += self._begin_anew(now, jump)
            counts = None if counts is None else Counts()
        seconds = 0.0 if jump else self.config.every if self._looked is None else now - self._looked
        self._looked = now
        if counts is None:
            return self._new(now, alarms)
        hour = int(now - 1e-6) // HOUR
        if hour != self._hour:
            alarms += self._next_hour(now, hour)
        self._counts.add(counts)
        self._counts.seconds += seconds
        like = self._like(hour)
        alarms += self._rates.look(now, counts, like.hours)
        alarms += self._labels.look(now, counts, like.hours, like.looser)
        alarms += self._windows.look(now, counts, like)
        return self._new(now, alarms)

    def _begin_anew(self, now: float, jump: float) -> list[Alarm]:
        """What is counted is begun anew, and what was learned stays. A clock that goes back is an alarm."""
        self._hour, self._counts = None, Counts()
        self._rates = RateDetectors(self.config, self._rates.dispersion)
        self._labels = Labels(self.config, self._labels.dispersion)
        self._windows = Windows(self.config, self._windows.dispersion)
        self._last_seen = {key: at + jump for key, at in self._last_seen.items()}
        if jump > 0:
            log.warning("no look for %.0f seconds, or the clock went forward: counting begins anew", jump)
            return []
        sentence = f"the clock that the monitor goes by went back by {-jump:,.0f} seconds"
        return [Alarm("clock", "monitor", now, now, 1e-300, sentence, "", jump, 0.0)]

    def _next_hour(self, now: float, hour: int) -> list[Alarm]:
        """The hour that was goes into the memory, without what is wrong. A clock that goes back begins one
        anew."""
        before, self._hour = self._hour, hour
        wrong = {(alarm.kind, alarm.subject) for alarm in self.open.values()}
        self._rates.begin_hour(wrong)
        self._labels.begin_hour(wrong)
        counts, self._counts = self._counts, Counts()
        if before is None or hour < before:
            return []
        if not self.memory.same_hour(before):  # of an hour that is met for the first time little is known
            wrong = set()
        self.memory.keep(before, counts.without(wrong))
        self._labels.learn_days(self.memory.same_hours())
        return self._drift.look(now, before, self.memory)

    def _like(self, hour: int) -> Like:
        """The same hour of other days; on the first day, the hours before."""
        same = self.memory.same_hour(hour)
        if not same:
            return Like(self.memory.last_hours(hour, _TODAY), 2.0)
        looser = 1.0 if self.memory.knows_week(hour) else 1.5
        return Like(same, looser, list(self.memory.hours.values()))

    def _new(self, now: float, alarms: Iterable[Alarm]) -> list[Alarm]:
        """Those that were not going on; what was not raised for an hour is over."""
        new = []
        for alarm in alarms:
            self._last_seen[alarm.key] = now
            if alarm.key not in self.open:
                self.open[alarm.key] = alarm
                new.append(alarm)
        for key in [key for key in self.open if not 0 <= now - self._last_seen.get(key, now) < OVER]:
            del self.open[key], self._last_seen[key]
        return new

    def accept(self, name: str) -> None:
        """What is seen of this is right from now on: its alarms are over, and it is learned anew.

        name: the key of an open alarm, which, where it is of a part of the answers, is accepted of that part
        alone; or a kind and a subject. Of a slow change: "drift", and what of.
        """
        kind, _, subject = name.partition(" ")
        alarm = self.open.get(name)
        part = "" if alarm is None else alarm.part
        if alarm is not None:
            kind, subject = alarm.kind, alarm.subject
        for key, other in list(self.open.items()):
            if (other.kind, other.subject) == (kind, subject) and part in ("", other.part):
                del self.open[key]
                self._last_seen.pop(key, None)
        if kind == "drift":
            kind, _, subject = subject.partition(" ")
        self.memory.accept(kind, subject, part)
        self._rates.begin_hour()

    def save(self, path: Path) -> None:
        """What it has learned, in one file. Raises: OSError."""
        more = {
            "hour": self._hour,
            "counts": self._counts.to_dict(),
            "open": [alarm.to_dict() | {"seen": self._last_seen[key]} for key, alarm in self.open.items()],
            "dispersion": self._rates.dispersion.to_list(),
            "dispersion_of_labels": self._labels.dispersion.to_list(),
            "dispersion_of_bins": self._windows.dispersion.to_list(),
        }
        self.memory.save(path, more)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote, where there is such a file. Raises: DataError where it is damaged."""
        raw = self.memory.load(path)
        if not raw:
            return
        self._hour, self._counts, self.open, self._last_seen = None, Counts(), {}, {}
        try:
            self._hour, self._counts = raw["hour"], Counts.from_dict(raw["counts"])
            self._rates.dispersion.take(raw["dispersion"], Rate)
            self._labels.dispersion.take(raw.get("dispersion_of_labels", ()), Variable)
            self._windows.dispersion.take(raw.get("dispersion_of_bins", ()), Variable)
            for saved in raw["open"]:
                alarm = Alarm.from_dict(saved)
                self.open[alarm.key], self._last_seen[alarm.key] = alarm, float(saved["seen"])
        except (KeyError, TypeError, ValueError) as error:
            log.warning("%s is of another form (%r): the open hour is counted anew", path, error)
