"""Slow changes: the last day beside each of the first days, every hour."""

from __future__ import annotations

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Metric
from funnel.monitoring.distributions import Difference, InARow, discovered
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.memory import Memory
from funnel.monitoring.windows import compared

#: Kinds whose bins are another bundle's after a swap: what is compared with the first days must be the same.
_OF_BUNDLE = ("scores", "positions")


class Drift:
    """What was off at the last hour."""

    def __init__(self, config: MonitorConfig) -> None:
        self._config, self._row = config, InARow()

    def look(self, now: float, hour: int, memory: Memory) -> list[Alarm]:
        """hour: that has just been kept. Nothing before all first days are known."""
        first = first_days(memory, hour // 24)
        if len(first) <= self._config.anchor_days or hour // 24 in memory.anchor:
            return []
        day = memory.last_day(hour)
        found = {}
        for metric, bins in day.bins.items():
            if metric.kind in _OF_BUNDLE or bins.sum() < 10 * self._config.least:
                continue
            if (one := compared(metric, bins, first, self._config.drift, self._config.least)) is not None:
                found[metric] = one
        off = discovered({metric: one.chance for metric, one in found.items()}, self._config.discoveries)
        twice = self._row.look(off, list(found), now - 86_400)
        return [self._alarm(now, since, metric, found[metric]) for metric, since in twice.items()]

    def _alarm(self, now: float, since: float, metric: Metric, one: Difference) -> Alarm:
        subject = f"{metric.kind} {metric.subject}".strip()
        sentence = (
            f"{KINDS['drift'].what}: {subject} differs by an effect (w) of {one.effect:.2f}, "
            f"{self._config.drift:.2f} is nothing yet"
        )
        return Alarm("drift", subject, since, now, one.chance, sentence, "", one.effect, self._config.drift)


def first_days(memory: Memory, today: int) -> list[Counts]:
    """The first days, but today, and all of them together."""
    each = [memory.anchor[day] for day in sorted(memory.anchor) if day != today]
    together = Counts()
    for day in each:
        together.add(day)
    return [*each, together] if each else []
