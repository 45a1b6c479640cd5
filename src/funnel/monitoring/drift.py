"""Slow changes: the last day beside each of the first days, every hour."""

from __future__ import annotations

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.distributions import Divergence, InARow, discovered
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.memory import MonitorMemory
from funnel.monitoring.windows import compared

#: Kinds whose bins are another bundle's after a swap: what is compared with the first days must be the same.
_OF_BUNDLE = ("scores", "positions")


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
            if metric.kind in _OF_BUNDLE or bins.sum() < 10 * self._config.least:
                continue
            if (
                divergence := compared(metric, bins, first, self._config.drift, self._config.least)
            ) is not None:
                divergences[metric] = divergence
        off = discovered(
            {metric: divergence.chance for metric, divergence in divergences.items()},
            self._config.discoveries,
        )
        twice = self._row.look(off, list(divergences), now - 86_400)
        return [self._alarm(now, since, metric, divergences[metric]) for metric, since in twice.items()]

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
