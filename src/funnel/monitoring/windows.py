"""Metrics over windows: each beside the same hour of other days, and traffic as a whole."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.dispersion import Dispersions
from funnel.monitoring.distributions import Divergence, InARow, chi_squares, difference
from funnel.monitoring.kinds import KINDS

#: Below this share of the least of the same hours, traffic is missing.
_FEW = 0.2

_TRAFFIC = Variable("traffic")


#: What depends on how long ago the bundle's data end, as well as on who asks: it grows with every event, and
#: a swap begins it anew. It is compared with hours whose data were as old; and it is also right where it is
#: as it was in the windows before, but the last ones.
OF_STATE = ("feature", "history", "scores", "coverage", "positions")

#: Windows that are remembered for it, and the last of them that do not count.
_RECENT, _LAST = 12, 2

#: Windows that the dispersion is a mean over, and the most that one says: a change is none.
_WINDOWS, _MOST = 50.0, 10.0

#: Hours by which the age of the data may differ at the same hour of the day, and at another hour; and by how
#: much an effect must be more there.
_APART, _NEAR, _OTHER_HOUR = 3.0, 1.0, 1.5

#: An effect that is less than so many times that from one day to the next is none.
_DAYS = 1.25


class Like(NamedTuple):
    """Hours that a window must be like. looser: by how much the least effect is raised where they are not the
    same hour, or no week of them is known. others: all hours that are remembered; none on the first day."""

    hours: Sequence[Counts]
    looser: float = 1.0
    others: Sequence[Counts] = ()

    def usual(self) -> list[tuple[Counts, float]]:
        """What is compared with, and by how much the least effect is raised for each."""
        return [(counts, self.looser) for counts in self.hours]

    def aged(self, age: float | None) -> list[tuple[Counts, float]]:
        """The same for what depends on the state. age: of the data now, in hours."""
        if age is None:
            return self.usual()
        if not self.others:
            return []
        same = [(counts, self.looser) for counts in self.hours if _aged(counts, age, _APART)]
        looser = self.looser * _OTHER_HOUR
        return same + [(counts, looser) for counts in self.others if _aged(counts, age, _NEAR)]


def _aged(counts: Counts, age: float, most: float) -> bool:
    return counts.age is not None and abs(counts.age - age) <= most


class Windows:
    """The window that is open, and what was off in the last. dispersion: what is known of it."""

    def __init__(self, config: MonitorConfig, dispersion: Dispersions[Variable] | None = None) -> None:
        self._config = config
        self.dispersion = dispersion or Dispersions[Variable](_WINDOWS)
        self._metrics: set[Variable] = set()
        self._begin: float | None = None
        self._open: dict[Variable, tuple[float, NDArray[np.float64]]] = {}
        self._answers, self._row, self._few = 0, InARow(), InARow()
        self._before: dict[Variable, deque[NDArray[np.float64]]] = {}
        self._hours: Sequence[Counts] = ()
        self._apart: dict[Variable, float] = {}
        self._age: float | None = None

    def look(self, now: float, counts: Counts, like: Like) -> list[Alarm]:
        """Add what was counted since the last look; alarms where a window closes with it."""
        begin = now - self._config.every
        self._begin = begin if self._begin is None else self._begin
        self._answers += counts.answers
        self._age = self._age if counts.age is None else counts.age
        for metric, bins in counts.bins.items():
            since, before = self._open.get(metric, (begin, np.zeros(0)))
            self._open[metric] = (since, before + bins if len(before) == len(bins) else bins.copy())
        if now - self._begin < self._config.window - 0.5:
            return []
        alarms = [*self._compared(now, like), *self._traffic(now, like)]
        self._begin, self._answers = None, 0
        return alarms

    def _compared(self, now: float, like: Like) -> list[Alarm]:
        """Of metrics with enough values; the others go on to the next window."""
        full = {metric: of for metric, of in self._open.items() if of[1].sum() >= self._config.least}
        divergences, usual, aged = {}, like.usual(), like.aged(self._age)
        for metric, (_, bins) in full.items():
            del self._open[metric]
            of = aged if metric.kind in OF_STATE else usual
            others = self._others(metric, len(bins), of, like)
            if others is not None:
                divergences[metric] = difference(*(bins, *others), self.dispersion.of(metric))
        self._metrics |= divergences.keys()
        level = self._level()
        off = {metric for metric, divergence in divergences.items() if divergence.chance < level}
        for metric in set(full) - off:  # what is wrong must not become what is usual
            self._keep(metric, full[metric][1])
        twice: dict[Variable, float] = {}
        for metric in divergences:
            twice |= self._row.look(off & {metric}, [metric], full[metric][0])
        return [
            _alarm(now, since, metric, divergences[metric], self._config.effect)
            for metric, since in twice.items()
        ]

    def _level(self) -> float:
        """How improbable each of two windows in a row must be."""
        return math.sqrt(chance(self._config, len(self._metrics), self._config.window))

    def _keep(self, metric: Variable, bins: NDArray[np.float64]) -> None:
        before = self._before.setdefault(metric, deque(maxlen=_RECENT))
        if before and len(before[-1]) == len(bins):
            squares, free = chi_squares(bins, before[-1][None])
            self.dispersion.learn(metric, min(float(squares[0] / free[0]), _MOST))
        before.append(bins)

    def _others(
        self, metric: Variable, n_bins: int, of: Sequence[tuple[Counts, float]], like: Like
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """What a window is compared with, and the least effect of each; None where nothing is known."""
        effect = max(self._config.effect, _DAYS * self._days_apart(metric, n_bins, like.hours))
        pairs = [(counts.bins[metric], effect * more) for counts, more in of if metric in counts.bins]
        pairs = [(bins, least) for bins, least in pairs if usable(bins, n_bins, self._config.least)]
        if not pairs:
            return None
        before = [bins for bins in list(self._before.get(metric, ()))[:-_LAST] if len(bins) == n_bins]
        if metric.kind in OF_STATE and before:
            pairs.append((np.sum(before, axis=0), effect * like.looser))
        return np.array([bins for bins, _ in pairs]), np.array([least for _, least in pairs])

    def _days_apart(self, metric: Variable, n_bins: int, hours: Sequence[Counts]) -> float:
        """By how much this hour of one day differed from that of the day before, at most: bundles, weekdays
        and what else makes days differ. 0 where less than three are known."""
        if hours != self._hours:
            self._hours, self._apart = hours, {}
        if metric not in self._apart:
            known = [counts.bins[metric] for counts in hours if metric in counts.bins]
            known = [bins for bins in known if usable(bins, n_bins, self._config.least)]
            pairs = [difference(bins, before[None], 0.0).effect for bins, before in pairwise(known)]
            self._apart[metric] = max(pairs) if len(pairs) > 1 else 0.0
        return self._apart[metric]

    def _traffic(self, now: float, like: Like) -> list[Alarm]:
        """Answers in the window beside those of the same hours."""
        assert self._begin is not None
        seconds = now - self._begin
        known = [rate for counts in like.hours if (rate := counts.per_second) is not None]
        usual = min(known, default=0.0) * seconds
        off = usual >= 20 and self._answers < _FEW * usual
        twice = self._few.look({_TRAFFIC} if off else set(), [_TRAFFIC], self._begin)
        few = float(pdtr(self._answers, _FEW * usual)) if off else 1.0
        sentence = f"{KINDS['traffic'].what}: {self._answers:,}, {usual:,.0f} are usual"
        return [
            Alarm("traffic", "", since, now, max(few, 1e-300), sentence, "", self._answers, usual)
            for since in twice.values()
        ]


def usable(bins: NDArray[np.float64], n_bins: int, fewest: int) -> bool:
    """Whether they are the same bins, with enough in them."""
    return len(bins) == n_bins and bool(bins.sum() >= fewest)


def compared(
    metric: Variable, bins: NDArray[np.float64], hours: Sequence[Counts], least: Sequence[float], fewest: int
) -> Divergence | None:
    """Beside hours that counted it, in the same bins, often enough; None where there are none. least: of each
    hour."""
    pairs = [(of.bins[metric], each) for of, each in zip(hours, least, strict=True) if metric in of.bins]
    pairs = [(other, each) for other, each in pairs if usable(other, len(bins), fewest)]
    if not pairs:
        return None
    return difference(bins, np.array([other for other, _ in pairs]), np.array([each for _, each in pairs]))


def _alarm(now: float, since: float, metric: Variable, divergence: Divergence, least: float) -> Alarm:
    of = f" ({metric.subject})" if metric.subject else ""
    effect = f"an effect (w) of {divergence.effect:.2f}, {least:.2f} is nothing yet"
    sentence = f"{KINDS[metric.kind].what}{of}: {effect}"
    return Alarm(
        metric.kind, metric.subject, since, now, divergence.chance, sentence, "", divergence.effect, least
    )
