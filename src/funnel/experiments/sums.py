"""What users did in an experiment, from the log of answers and from events: sums a user and day, a metric.

A user belongs to the arm of their first answer, and everything counts that they did from then on, whoever is
said to have caused it: arms are compared as they were assigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.moments import UserMoments
from funnel.impressions import Impression
from funnel.values.ids import written

DAY = 86_400.0

#: Of events: who, when, of which kind, and what it brought.
EVENT_COLUMNS = ("user_id", "time", "kind", "value")


#: Of an answer: time, items shown, milliseconds, whether empty, whether fewer.
_Row: TypeAlias = tuple[float, float, float, float, float]


@dataclass
class _Answers:
    """Rows of the log: user number, time, items shown, milliseconds, whether empty, whether fewer."""

    users: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, user: int, row: _Row) -> None:
        self.users.append(user)
        self.times.append(row[0])
        self.values.append(row[1:])


def _row(answer: Impression) -> _Row:
    shown = len(answer.shown)
    return answer.time, shown, sum(answer.ms.values()), shown == 0, shown < answer.k


@dataclass(frozen=True)
class UserSums:
    """Users [n] of an experiment, and what they did: rows with a user's number, a day and values.

    arms: names, the control first. arm: int [n], each user's. days: of the rows from the start, 0 the first;
    -1 before it, which is what is known of a user beforehand. mixed: users who were in two arms, and count in
    neither. versions: of the bundles that answered in each arm.
    """

    arms: tuple[str, ...]
    arm: NDArray[np.int64]
    first_day: NDArray[np.int64]
    tables: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]
    mixed: int
    versions: dict[str, tuple[str, ...]]

    @property
    def days(self) -> int:
        """How many there are, the last one may not be over."""
        return int(max((days.max(initial=-1) for _, days, _ in self.tables.values()), default=-1)) + 1

    def users(self, day: int) -> list[int]:
        """How many were there in each arm by the end of a day."""
        there = self.first_day <= day
        return [int(np.sum(there & (self.arm == arm))) for arm in range(len(self.arms))]

    def moments(self, metric: LiveMetric, day: int) -> list[UserMoments | None]:
        """Of each arm, of all days up to this one; None for an arm of fewer than two users."""
        there = self.first_day <= day
        columns = [self._sum(*self._source(metric), 0, day), self._per(metric, 0, day)]
        before = [self._sum(*self._source(metric), -1, -1), self._per(metric, -1, -1)]
        chosen = [there & (self.arm == arm) for arm in range(len(self.arms))]
        return [
            UserMoments.of(*(column[users] for column in (*columns, *before))) if users.sum() > 1 else None
            for users in chosen
        ]

    def _per(self, metric: LiveMetric, first: int, last: int) -> NDArray[np.float64]:
        if metric.per == "user":
            return np.ones(len(self.arm))
        return self._sum("answers" if metric.per == "answer" else "items", False, first, last)

    def _source(self, metric: LiveMetric) -> tuple[str, bool]:
        return metric.what, metric.value

    def _sum(self, table: str, value: bool, first: int, last: int) -> NDArray[np.float64]:
        """A user's sum over days, both included: float64 [n]."""
        name = f"value of {table}" if value else table
        if name not in self.tables:
            return np.zeros(len(self.arm))
        users, days, values = self.tables[name]
        wanted = (days >= first) & (days <= last)
        return np.bincount(users[wanted], values[wanted], minlength=len(self.arm)).astype(np.float64)


def sums_of(
    name: str,
    arms: Iterable[str],
    start: float,
    answers: Iterable[Impression],
    events: pd.DataFrame | Callable[[list[str]], pd.DataFrame],
    before: float = 14 * DAY,
) -> UserSums:
    """Collect an experiment.

    arms: those that users get, the control first. start: seconds since 1970. answers: of the log, also from
    before the start, which is what is known of users beforehand, as far back as `before` seconds. events:
    with columns user_id, time in seconds, kind, and value where there are any; or what gives those of
    some users, in writing.
    Raises: DataError where the events lack a column.
    """
    named = tuple(arms)
    collected = _Collected(name, {arm: number for number, arm in enumerate(named)}, start)
    for answer in answers:
        collected.take(answer, start - before)
    collected.take_earlier()
    if callable(events):
        events = events(list(collected.number))
    if missing := [column for column in ("user_id", "time", "kind") if column not in events]:
        raise DataError(f"events have no column {missing[0]!r}; there are: {', '.join(map(str, events))}")
    arm = np.array(collected.arm, dtype=np.int64)
    mixed = arm < 0
    rows = _tables(collected.rows, start) | _event_tables(events, collected, start, before)
    return UserSums(
        arms=named,
        arm=arm,
        first_day=((np.array(collected.first) - start) // DAY).astype(np.int64),
        tables=rows,
        mixed=int(mixed.sum()),
        versions={arm: tuple(sorted(collected.versions[number])) for number, arm in enumerate(named)},
    )


class _Collected:
    """Users as they appear, numbered."""

    def __init__(self, name: str, codes: dict[str, int], start: float) -> None:
        self._name, self._codes, self._start = name, codes, start
        self.number: dict[str, int] = {}
        self.arm: list[int] = []
        self.first: list[float] = []
        self.rows = _Answers()
        self._earlier: list[tuple[str, _Row]] = []
        self.versions: list[set[str]] = [set() for _ in codes]

    def take(self, answer: Impression, since: float) -> None:
        """Count an answer of the experiment; keep one from before it, of `since` or later."""
        user = written(answer.user)
        if answer.time < self._start and user is not None and answer.time >= since:
            self._earlier.append((user, _row(answer)))
        code = self._codes.get(answer.arms.get(self._name, ""), -1)
        if code < 0 or user is None or answer.time < self._start:
            return
        number = self.number.setdefault(user, len(self.number))
        if number == len(self.arm):
            self.arm.append(code)
            self.first.append(answer.time)
        elif self.arm[number] != code:
            self.arm[number] = -1
        self.first[number] = min(self.first[number], answer.time)
        self.versions[code].add(answer.version)
        self.rows.add(number, _row(answer))

    def take_earlier(self) -> None:
        """Answers from before, of those who came into the experiment."""
        for user, row in self._earlier:
            if user in self.number:
                self.rows.add(self.number[user], row)
        self._earlier = []


def _tables(rows: _Answers, start: float) -> dict[str, Any]:
    users = np.array(rows.users, dtype=np.int64)
    days = np.maximum((np.array(rows.times) - start) // DAY, -1).astype(np.int64)
    values = np.array(rows.values, dtype=np.float64).reshape(-1, 4)
    names = ("items", "milliseconds", "empty", "fewer")
    named = {name: (users, days, values[:, at]) for at, name in enumerate(names)}
    return named | {"answers": (users, days, np.ones(len(users)))}


def _event_tables(events: pd.DataFrame, collected: _Collected, start: float, before: float) -> dict[str, Any]:
    """By kind: how many, and what they brought. Of a user's events those from their first answer on, and
    those from before the start."""
    numbers = [collected.number.get(written(user) or "", -1) for user in events["user_id"]]
    users = np.array(numbers, dtype=np.int64)
    times = events["time"].to_numpy(dtype=np.float64)
    first = np.array([*collected.first, np.inf])[users]
    counts = (users >= 0) & ((times >= first) | ((times < start) & (times >= start - before)))
    days = np.maximum((times - start) // DAY, -1).astype(np.int64)
    kinds = events["kind"].fillna("interaction").to_numpy(dtype=object)
    worth = np.zeros(len(times))
    if "value" in events:
        worth = np.nan_to_num(events["value"].to_numpy(dtype=np.float64, na_value=np.nan))
    tables: dict[str, Any] = {}
    for kind in sorted(set(kinds[counts])):
        chosen = counts & (kinds == kind)
        tables[kind] = (users[chosen], days[chosen], np.ones(int(chosen.sum())))
        tables[f"value of {kind}"] = (users[chosen], days[chosen], worth[chosen])
    return tables
