"""What has been seen: the same hours of other days, and the first days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from funnel.errors import DataError
from funnel.monitoring.counts import Counts, Rate
from funnel.monitoring.files import read, write

HOUR, DAY = 3600, 86_400


class MonitorMemory:
    """Counts of whole hours, and of the first whole days.

    days: how many of each hour are kept. anchor_days: how many of the first are kept for good. edges: bounds
    of the bins of metrics, which stay as they were first, so that all days are counted by the same.
    """

    def __init__(self, days: int, anchor_days: int) -> None:
        self._days, self._anchor_days = days, anchor_days
        self.hours: dict[int, Counts] = {}
        self.anchor: dict[int, Counts] = {}
        self.edges: dict[str, list[float]] = {}
        self.accepted: dict[str, int] = {}

    def keep(self, hour: int, counts: Counts) -> None:
        """An hour is over. hour: since 1970."""
        self.hours[hour] = counts
        while len(self.hours) > 24 * self._days:  # by number: a clock that is wrong for an hour costs an hour
            del self.hours[max(self.hours, key=lambda other: abs(other - hour))]
        day = hour // 24
        if day in self.anchor or len(self.anchor) < self._anchor_days:
            self.anchor.setdefault(day, Counts()).add(counts)

    def same_hour(self, hour: int) -> list[Counts]:
        """That hour of other days, the latest first."""
        before = (hour - 24 * back for back in range(1, self._days + 1))
        return [self.hours[other] for other in before if other in self.hours]

    def same_hours(self) -> list[list[Counts]]:
        """All hours, by the hour of the day."""
        of_day: dict[int, list[Counts]] = {}
        for hour, counts in self.hours.items():
            of_day.setdefault(hour % 24, []).append(counts)
        return list(of_day.values())

    def last_hours(self, hour: int, most: int) -> list[Counts]:
        """The hours before, whatever time of the day, the latest first."""
        return [self.hours[other] for other in range(hour - 1, hour - 1 - most, -1) if other in self.hours]

    def last_day(self, hour: int) -> Counts:
        """The 24 hours up to the end of this one."""
        day = Counts()
        for other in range(hour - 23, hour + 1):
            if other in self.hours:
                day.add(self.hours[other])
        return day

    def knows_week(self, hour: int) -> bool:
        """Whether it has seen this hour of a week before."""
        return hour - 7 * 24 in self.hours

    def accept(self, kind: str, subject: str, part: str = "") -> None:
        """What is seen of this from now on is right: what was seen before is forgotten. part: of which
        answers; empty: of all and of each part."""
        for counts in (*self.hours.values(), *self.anchor.values()):
            if part:
                counts.rates.pop(Rate(kind, subject, part), None)
                continue
            kept = counts.without({(kind, subject)})
            counts.rates, counts.bins, counts.labels = kept.rates, kept.bins, kept.labels
            counts.answers, counts.seconds = kept.answers, kept.seconds
        self.edges.pop(f"{kind} {subject}", None)

    def save(self, path: Path, more: dict[str, Any]) -> None:
        """One JSON file, replaced as a whole. more: kept beside it."""
        raw = {
            "hours": {str(hour): counts.to_dict() for hour, counts in self.hours.items()},
            "anchor": {str(day): counts.to_dict() for day, counts in self.anchor.items()},
            "edges": self.edges,
            **more,
        }
        write(path, raw)

    def load(self, path: Path) -> dict[str, Any]:
        """Take over what `save` wrote; all of it. Nothing, where there is no such file.

        Raises: DataError where it is damaged; then nothing is taken over.
        """
        raw = read(path)
        if raw is None:
            return {}
        try:
            hours = {int(hour): Counts.from_dict(counts) for hour, counts in raw["hours"].items()}
            anchor = {int(day): Counts.from_dict(counts) for day, counts in raw["anchor"].items()}
            edges = {str(name): [float(edge) for edge in edges] for name, edges in raw["edges"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} is damaged ({error!r}): remove it, and the monitor learns anew"
            ) from error
        self.hours, self.anchor, self.edges = hours, anchor, edges
        return raw
