"""What users did in an experiment, from the log of answers and from events: sums a user and day, a metric.

A user belongs to the arm of their first answer, and everything counts that they did from then on, whoever is
said to have caused it: arms are compared as they were assigned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.moments import UserMoments
from funnel.impressions import Impression
from funnel.impressions.join import SKEW
from funnel.values.ids import written

Float64 = NDArray[np.float64]

DAY = 86_400.0

#: Of events: who, when, of which kind, and what it brought.
EVENT_COLUMNS = ("user_id", "time", "kind", "value")


#: Of an answer: time, items shown, milliseconds, whether empty, whether fewer.
_Row: TypeAlias = tuple[float, float, float, float, float]


@dataclass
class _Answers:
    """Rows of the log: the answer's id, unit number, time, items shown, milliseconds, whether empty, whether
    fewer."""

    ids: list[str] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, answer: str, unit: int, row: _Row) -> None:
        self.ids.append(answer)
        self.units.append(unit)
        self.times.append(row[0])
        self.values.append(row[1:])


def _row(answer: Impression, time: float) -> _Row:
    shown = len(answer.shown)
    return time, shown, sum(answer.ms.values()), shown == 0, shown < answer.k


@dataclass(frozen=True)
class UserSums:
    """Units [n] of an experiment, and what they did: rows with a unit's number, a day and values.

    A unit is a user; where shares move, a user in one period.
    arms: names, the control first. arm: int [n], each unit's. days: of the rows from the start, 0 the first;
    -1 before it, which is what is known of a user beforehand. mixed: units who were in two arms, and count in
    neither. versions: of the bundles that answered in each arm. person: int [n], each unit's user. period:
    int [n]. shares: by period, of the arms. lost: people some of whose events nobody has any more.
    """

    arms: tuple[str, ...]
    arm: NDArray[np.int64]
    first_day: NDArray[np.int64]
    tables: dict[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]
    mixed: int
    versions: dict[str, tuple[str, ...]]
    person: NDArray[np.int64]
    period: NDArray[np.int64]
    shares: tuple[tuple[float, ...], ...] = ()
    lost: int = 0

    @property
    def days(self) -> int:
        """How many there are, the last one may not be over."""
        return int(max((days.max(initial=-1) for _, days, _ in self.tables.values()), default=-1)) + 1

    def users(self, day: int, period: int | None = None) -> list[int]:
        """How many units were there in each arm by the end of a day; in one period or in all."""
        there = self.first_day <= day
        if period is not None:
            there &= self.period == period
        return [int(np.sum(there & (self.arm == arm))) for arm in range(len(self.arms))]

    def moments(self, metric: LiveMetric, day: int) -> list[UserMoments | None]:
        """Of each arm, of all days up to this one; None for an arm of fewer than two units."""
        there = self.first_day <= day
        columns = self.sums(metric, 0, day)
        before = self.sums(metric, -1, -1)
        chosen = [there & (self.arm == arm) for arm in range(len(self.arms))]
        return [
            UserMoments.of(*(column[units] for column in (*columns, *before))) if units.sum() > 1 else None
            for units in chosen
        ]

    def sums(self, metric: LiveMetric, first: int, last: int) -> tuple[Float64, Float64]:
        """What a unit did, over what the metric counts it by, of days first to last: float64 [n] each."""
        if metric.per == "user":
            per = np.ones(len(self.arm))
        else:
            per = self._sum("answers" if metric.per == "answer" else "items", False, first, last)
        return self._sum(metric.what, metric.value, first, last), per

    def _sum(self, table: str, value: bool, first: int, last: int) -> Float64:
        """A unit's sum over days, both included: float64 [n]."""
        name = f"value of {table}" if value else table
        if name not in self.tables:
            return np.zeros(len(self.arm))
        units, days, values = self.tables[name]
        wanted = (days >= first) & (days <= last)
        return np.bincount(units[wanted], values[wanted], minlength=len(self.arm)).astype(np.float64)


def sums_of(
    name: str,
    arms: Iterable[str],
    start: float,
    answers: Iterable[Impression],
    events: pd.DataFrame | Callable[[list[str]], pd.DataFrame],
    before: float = 14 * DAY,
    shares: Sequence[Mapping[str, float]] = (),
) -> UserSums:
    """Collect an experiment.

    arms: those that users get, the control first. start: seconds since 1970. answers: of the log, also from
    before the start, which is what is known of users beforehand, as far back as `before` seconds. events:
    with columns user_id, time in seconds, kind, and value and answer where there are any; or what gives those
    of some users, in writing. One whose time is 0, since the data have no clock, is of the moment of the
    answer that it names, and counts where that is in the log. shares: by period, where they move.
    Raises: DataError where the events lack a column.
    """
    named = tuple(arms)
    codes = {arm: number for number, arm in enumerate(named)}
    collected = _Collected(name, codes, start, max(1, len(shares)))
    for answer in answers:
        collected.take(answer, start - before)
    collected.take_earlier()
    if callable(events):
        events = events(list(collected.people))
    if missing := [column for column in ("user_id", "time", "kind") if column not in events]:
        raise DataError(f"events have no column {missing[0]!r}; there are: {', '.join(map(str, events))}")
    arm = np.array(collected.arm, dtype=np.int64)
    rows = _tables(collected.rows, start) | _event_tables(events, collected, start, before)
    return UserSums(
        arms=named,
        arm=arm,
        first_day=np.maximum((np.array(collected.first) - start) // DAY, 0).astype(np.int64),
        tables=rows,
        mixed=int((arm < 0).sum()),
        versions={arm: tuple(sorted(collected.versions[number])) for number, arm in enumerate(named)},
        person=np.array(collected.person, dtype=np.int64),
        period=np.array(collected.period, dtype=np.int64),
        shares=tuple(tuple(period[arm] for arm in named) for period in shares),
    )


class _Collected:
    """Units as they appear, numbered, and the people that they are of."""

    def __init__(self, name: str, codes: dict[str, int], start: float, periods: int) -> None:
        self._name, self._codes, self._start, self._periods = name, codes, start, periods
        self.people: dict[str, int] = {}
        self._number: dict[tuple[int, int], int] = {}  # by person and period
        self.arm: list[int] = []
        self.first: list[float] = []
        self.person: list[int] = []
        self.period: list[int] = []
        self.rows = _Answers()
        self._earlier: list[tuple[str, str, _Row]] = []
        self.versions: list[set[str]] = [set() for _ in codes]

    def take(self, answer: Impression, since: float) -> None:
        """Count an answer of the experiment, whatever its clock said; keep another from before the start, of
        `since` or later."""
        user, code = written(answer.user), self._codes.get(answer.arms.get(self._name, ""), -1)
        if user is None:
            return
        if code < 0:
            if since <= answer.time < self._start:
                self._earlier.append((user, answer.id, _row(answer, answer.time)))
            return
        period = int(answer.weights[self._name][0]) if self._name in answer.weights else 0
        if period >= self._periods:  # begun while we look
            return
        unit = self._unit(user, answer, code, period)
        self.first[unit] = min(self.first[unit], answer.time)
        self.versions[code].add(answer.version)
        self.rows.add(answer.id, unit, _row(answer, max(answer.time, self._start)))

    def _unit(self, user: str, answer: Impression, code: int, period: int) -> int:
        person = self.people.setdefault(user, len(self.people))
        number = self._number.setdefault((person, period), len(self._number))
        if number == len(self.arm):
            self.arm.append(code)
            self.first.append(answer.time)
            self.person.append(person)
            self.period.append(period)
        elif self.arm[number] != code:
            self.arm[number] = -1
        return number

    def take_earlier(self) -> None:
        """Answers from before, of those who came into the experiment: they are their first unit's."""
        first: dict[int, int] = {}
        for number, person in enumerate(self.person):
            first.setdefault(person, number)
        for user, answer, row in self._earlier:
            if user in self.people:
                self.rows.add(answer, first[self.people[user]], row)
        self._earlier = []

    def units_at(self, people: NDArray[np.int64], times: Float64) -> NDArray[np.int64]:
        """The unit that each person was last, at a moment: int64 [m]; -1 before the first, and of nobody.
        Events have whole seconds, cut off: one of the second of an answer is behind it."""
        n = len(self.person)
        who = np.concatenate([np.array(self.person, dtype=np.int64), people])
        when = np.concatenate([np.floor(np.array(self.first, dtype=np.float64)), times])
        order = np.lexsort((np.arange(len(who)) >= n, when, who))
        is_unit = order < n
        last = np.maximum.accumulate(np.where(is_unit, np.arange(len(order)), -1))
        unit = np.where(last >= 0, order[last], -1)
        unit[(unit >= 0) & (who[np.maximum(unit, 0)] != who[order])] = -1
        out = np.full(len(who), -1, dtype=np.int64)
        out[order] = unit
        return np.where(people >= 0, out[n:], -1)


def _tables(rows: _Answers, start: float) -> dict[str, Any]:
    units = np.array(rows.units, dtype=np.int64)
    days = np.maximum((np.array(rows.times) - start) // DAY, -1).astype(np.int64)
    values = np.array(rows.values, dtype=np.float64).reshape(-1, 4)
    names = ("items", "milliseconds", "empty", "fewer")
    named = {name: (units, days, values[:, at]) for at, name in enumerate(names)}
    return named | {"answers": (units, days, np.ones(len(units)))}


def _event_tables(events: pd.DataFrame, collected: _Collected, start: float, before: float) -> dict[str, Any]:
    """By kind: how many, and what they brought. Of a user's events those from their first answer on, and
    those from before the start, which are their first unit's."""
    who = [collected.people.get(written(user) or "", -1) for user in events["user_id"]]
    people, times = np.array(who, dtype=np.int64), _times(events, collected.rows)
    units = collected.units_at(people, times)
    inside, known = units >= 0, (people >= 0) & (times < start) & (times >= start - before)
    units = np.where(inside, units, _first_units(collected)[people])
    counts = (inside | known) & (people >= 0)
    days = np.where(inside, np.maximum((times - start) // DAY, 0), -1).astype(np.int64)
    kinds = events["kind"].fillna("interaction").to_numpy(dtype=object)
    worth = np.zeros(len(times))
    if "value" in events:
        worth = np.nan_to_num(events["value"].to_numpy(dtype=np.float64, na_value=np.nan))
    tables: dict[str, Any] = {}
    for kind in sorted(set(kinds[counts])):
        chosen = counts & (kinds == kind)
        tables[kind] = (units[chosen], days[chosen], np.ones(int(chosen.sum())))
        tables[f"value of {kind}"] = (units[chosen], days[chosen], worth[chosen])
    return tables


def _times(events: pd.DataFrame, rows: _Answers) -> Float64:
    """Of each event; of one that has none that of the answer that it names, and so of one from a little
    before it: two machines are never of one time."""
    times = events["time"].to_numpy(dtype=np.float64)
    if "answer" not in events:
        return times
    named = events["answer"].map(dict(zip(rows.ids, rows.times, strict=True))).to_numpy(dtype=np.float64)
    is_its = (times == 0) | ((times < named) & (times >= np.floor(named) - SKEW))
    return np.where(is_its & ~np.isnan(named), named, times)


def _first_units(collected: _Collected) -> NDArray[np.int64]:
    """By person; -1 behind the last, who is nobody."""
    first = np.full(len(collected.people) + 1, -1, dtype=np.int64)
    for number in range(len(collected.person) - 1, -1, -1):
        first[collected.person[number]] = number
    return first
