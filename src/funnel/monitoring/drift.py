"""Slow changes: the last day beside each of the first days, every hour.

What is slow has begun on the days before: these must differ, too, by a part of the effect, and by no more
than the last. So a campaign of a day or two is none, and a change that stays is told of on its third day, if
no window told of it before.
"""

from __future__ import annotations

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.distributions import Divergence, InARow
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.measures import of_bundle
from funnel.monitoring.memory import HOUR, MonitorMemory
from funnel.monitoring.windows import compared

#: Kinds whose bins are another bundle's after a swap: what is compared with the first days must be the same.
_OF_BUNDLE = ("scores", "positions")

#: Parts of the effect by which the day before, and the one before that, must differ already.
_BEFORE = (0.75, 0.5)

#: Part of what a day before differs by that the last must have: less is on its way back.
_BACK = 0.9


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
            if (
                divergence := compared(metric, bins, first, self._config.drift, self._config.least)
            ) is not None:
                divergences[metric] = divergence
        level = chance(self._config, len(divergences), HOUR)
        off = {metric for metric, divergence in divergences.items() if divergence.chance < level}
        off = {metric for metric in off if self._slow(metric, divergences[metric], hour, memory, first)}
        twice = self._row.look(off, list(divergences), now - 86_400)
        return [self._alarm(now, since, metric, divergences[metric]) for metric, since in twice.items()]

    def _slow(
        self, metric: Variable, now: Divergence, hour: int, memory: MonitorMemory, first: list[Counts]
    ) -> bool:
        """Whether it has been on its way for days, and is not on its way back."""
        for back, part in enumerate(_BEFORE, start=1):
            bins = memory.last_day(hour - 24 * back).bins.get(metric)
            least = part * self._config.drift
            before = None if bins is None else compared(metric, bins, first, least, self._config.least)
            if before is None or before.effect < least or _BACK * before.effect > now.effect:
                return False
        return True

    def _alarm(self, now: float, since: float, metric: Variable, divergence: Divergence) -> Alarm:
        subject = f"{metric.kind} {metric.subject}".strip()
        sentence = (
            f"{KINDS['drift'].what}: {subject} differs by an effect (w) of {divergence.effect:.2f}, "
            f"{self._config.drift:.2f} is nothing yet"
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
