"""Slow changes: the last day beside each of the first days, every hour.

What is slow has begun on the days before: these must differ, too, by a part of the effect, and by no more
than the last. So a campaign of a day or two is none, and a change that stays is told of on its third day, if
no window told of it before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.distributions import Divergence, InARow, difference
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.measures import of_bundle
from funnel.monitoring.memory import HOUR, MonitorMemory
from funnel.monitoring.windows import compared

#: Kinds whose bins are another bundle's after a swap: what is compared with the first days must be the same.
_OF_BUNDLE = ("scores", "positions")

#: Part of the effect by which it must differ from each single day: these differ among themselves, too.
_EACH = 0.75

#: Parts of the effect by which the day before, and the one before that, must differ already.
_BEFORE = (0.6, 0.5)

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
        off = {metric for metric in off if self._slow(metric, day, hour, memory, first)}
        twice = self._row.look(off, list(divergences), now - 86_400)
        return [self._alarm(now, since, metric, divergences[metric]) for metric, since in twice.items()]

    def _slow(
        self, metric: Variable, day: Counts, hour: int, memory: MonitorMemory, first: list[Counts]
    ) -> bool:
        """Whether it has been on its way for days, and is not on its way back."""
        days = [day, *(memory.last_day(hour - 24 * back) for back in range(1, len(_BEFORE) + 1))]
        for part, before in zip(_BEFORE, days[1:], strict=True):
            bins = before.bins.get(metric)
            beside = None if bins is None else self._beside(metric, bins, first, part * self._config.drift)
            if beside is None or beside.chance == 1:
                return False
        now, then = (difference(of.bins[metric], first[-1].bins[metric][None], 0.0) for of in days[:2])
        return now.effect >= then.effect

    def _beside(
        self, metric: Variable, bins: NDArray[np.float64], first: list[Counts], least: float
    ) -> Divergence | None:
        """Beside all first days together by an effect, and beside each of them by a part of it."""
        leasts = [_EACH * least] * (len(first) - 1) + [least]
        return compared(metric, bins, first, leasts, self._config.least)

    def _alarm(self, now: float, since: float, metric: Variable, divergence: Divergence) -> Alarm:
        subject = f"{metric.kind} {metric.subject}".strip()
        sentence = (
            f"{KINDS['drift'].what}: {subject} differs by an effect (w) of {divergence.effect:.2f}, "
            f"{_NOW * self._config.drift:.2f} is nothing yet"
        )
        return Alarm(
            "drift",
            subject,
            since,
            now,
            divergence.chance,
            sentence,
            "",
            divergence.effect,
            self._config.drift,
        )


def first_days(memory: MonitorMemory, today: int) -> list[Counts]:
    """The first days, but today, and all of them together."""
    each = [memory.anchor[day] for day in sorted(memory.anchor) if day != today]
    together = Counts()
    for day in each:
        together.add(day)
    return [*each, together] if each else []
