"""Slow changes: the last day beside each of the first days, every hour.

What is slow comes a little every day, and a campaign comes at once, as large as it may be. So the change of
the last day is followed back over the days before, as the part of it that was there already; where two days
brought most of it, it is a step and no slow change. A step that stays is told of when it is older than
`passing_days`, if no window told of it before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.distributions import Divergence, InARow
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.measures import of_bundle
from funnel.monitoring.memory import HOUR, MonitorMemory
from funnel.monitoring.windows import compared, usable

#: Kinds whose bins are another bundle's after a swap: what is compared with the first days must be the same.
_OF_BUNDLE = ("scores", "positions", "coverage")

#: Part of the effect by which it must differ from each single day: these differ among themselves, too.
_EACH = 0.75

#: Part of a slow change that must be left without what the two days brought that brought most.
_SLOW = 0.33

#: Part of the effect by which the last day must differ: its mean is half a day behind what is now.
_NOW = 0.85


class Drift:
    """What was off at the last hour."""

    def __init__(self, config: MonitorConfig) -> None:
        self._config, self._row = config, InARow()

    def look(self, now: float, hour: int, memory: MonitorMemory) -> list[Alarm]:
        """hour: that has just been kept. Nothing before all first days are known."""
        first = first_days(memory, hour // 24)
        if len(first) <= self._config.anchor_days or hour // 24 in memory.anchor:
            return []
        day = memory.last_day(hour)
        divergences = {}
        for metric, bins in day.bins.items():
            if metric.kind in _OF_BUNDLE or of_bundle(metric.subject) or bins.sum() < 10 * self._config.least:
                continue
            if (divergence := self._beside(metric, bins, first, _NOW * self._config.drift)) is not None:
                divergences[metric] = divergence
        level = chance(self._config, len(divergences), HOUR)
        off = {metric for metric, divergence in divergences.items() if divergence.chance < level}
        backs = range(1, self._config.passing_days + 1) if off else ()
        days = [day, *(memory.last_day(hour - 24 * back) for back in backs)]
        off = {metric for metric in off if self._slow(metric, days, first[-1])}
        twice = self._row.look(off, list(divergences), now - 86_400)
        return [self._alarm(now, since, metric, divergences[metric]) for metric, since in twice.items()]

    def _slow(self, metric: Variable, days: list[Counts], first: Counts) -> bool:
        """Whether it came a little every day. days: the latest first."""
        usual = first.bins[metric]
        each = [day.bins[metric] for day in days if metric in day.bins]
        each = [bins for bins in each if usable(bins, len(usual), self._config.least)]
        return len(each) > 2 and 1 - largest_step(parts_of_change(each, usual)) >= _SLOW

    def _beside(
        self, metric: Variable, bins: NDArray[np.float64], first: list[Counts], least: float
    ) -> Divergence | None:
        """Beside all first days together by an effect, and beside each of them by a part of it."""
        leasts = [_EACH * least] * (len(first) - 1) + [least]
        return compared(metric, bins, first, leasts, self._config.least)

    def _alarm(self, now: float, since: float, metric: Variable, divergence: Divergence) -> Alarm:
        subject, least = f"{metric.kind} {metric.subject}".strip(), _NOW * self._config.drift
        sentence = (
            f"{KINDS['drift'].what}: {subject} differs by an effect (w) of {divergence.effect:.2f}, "
            f"{least:.2f} is nothing yet"
        )
        return Alarm("drift", subject, since, now, divergence.chance, sentence, "", divergence.effect, least)


def parts_of_change(days: Sequence[NDArray[np.float64]], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the latest day's change was there on each day, 1 on the latest: float64 [days].

    Each day's change from what is usual is projected on that of the latest, in the measure of χ², where
    Cohen's w is a length: so what else a day has of its own is no part of it. days: the latest first.
    """
    shares = np.array([bins / bins.sum() for bins in days])
    changes = shares - usual / usual.sum()
    weights = shares[0] + usual / usual.sum()
    along = changes[0] / np.where(weights > 0, weights, 1.0)
    return np.asarray(changes @ along / max(float(changes[0] @ along), 1e-12))


def largest_step(parts: NDArray[np.float64]) -> float:
    """What came within two days, at most. parts: of a change, the latest day first."""
    return float((parts[:-2] - parts[2:]).max())


def first_days(memory: MonitorMemory, today: int) -> list[Counts]:
    """The first days, but today, and all of them together."""
    each = [memory.anchor[day] for day in sorted(memory.anchor) if day != today]
    together = Counts()
    for day in each:
        together.add(day)
    return [*each, together] if each else []
