"""A condition of a filter on one column, apart from any catalogue."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

Number: TypeAlias = int | float


class Cut(NamedTuple):
    """A point between numbers: before `at`, or behind it. Cuts sort as the numbers do."""

    at: Number
    behind: bool


class Interval(NamedTuple):
    """The numbers between two cuts."""

    low: Cut
    high: Cut


Bound: TypeAlias = Literal["lt", "le", "gt", "ge"]

EVERY_NUMBER = Interval(Cut(-math.inf, False), Cut(math.inf, True))


@dataclass(frozen=True, slots=True)
class Condition:
    """One column's value is one of `values`, or within one of `intervals`.

    Equal conditions are passed by the same items, in any catalogue. Values are held by
    their kind ("number", "truth value", "text", …), for Python takes 1 and True for equal. 1 and 1.0 are one
    number.

    values: kinds in order, each with its values. intervals: rising, disjoint.
    """

    column: str
    values: tuple[tuple[str, frozenset[Any]], ...] = ()
    intervals: tuple[Interval, ...] = ()

    @classmethod
    def one_of(cls, column: str, values: Iterable[tuple[str, Any]]) -> Condition:
        """The column has one of these values, each with its kind."""
        kinds: dict[str, set[Any]] = {}
        for kind, value in values:
            kinds.setdefault(kind, set()).add(value)
        return cls(column, _sorted(kinds))

    @classmethod
    def within(cls, column: str, bounds: Mapping[Bound, Number]) -> Condition:
        """The column's number is within these bounds."""
        low, high = EVERY_NUMBER
        for bound, limit in bounds.items():
            cut = Cut(limit, bound in ("le", "gt"))
            low = max(low, cut) if bound in ("gt", "ge") else low
            high = min(high, cut) if bound in ("lt", "le") else high
        return cls(column, (), (Interval(low, high),) if low < high else ())

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, about."""
        parts = (value for _, values in self.values for value in values)
        sets = sum(sys.getsizeof(values) for _, values in self.values)
        return 400 + sets + sum(map(sys.getsizeof, parts)) + 350 * len(self.intervals)

    def of_kind(self, kind: str) -> frozenset[Any]:
        """The values of one kind."""
        return next((values for name, values in self.values if name == kind), frozenset())

    def either(self, other: Condition) -> Condition:
        """The condition that this one or the other, of the same column, holds."""
        kinds = {name for name, _ in (*self.values, *other.values)}
        values = {kind: self.of_kind(kind) | other.of_kind(kind) for kind in kinds}
        return Condition(self.column, _sorted(values), _joined((*self.intervals, *other.intervals)))

    def both(self, other: Condition) -> Condition:
        """The condition that both hold, of the same column. Right only where an item has one value of it."""
        kinds = {name for name, _ in (*self.values, *other.values)}
        values = {kind: self.of_kind(kind) & other.of_kind(kind) for kind in kinds}
        numbers = set(values.get("number", ()))
        numbers |= {number for number in self.of_kind("number") if _holds(other.intervals, number)}
        numbers |= {number for number in other.of_kind("number") if _holds(self.intervals, number)}
        values["number"] = frozenset(numbers)
        return Condition(self.column, _sorted(values), _crossed(self.intervals, other.intervals))


def _sorted(kinds: Mapping[str, Iterable[Any]]) -> tuple[tuple[str, frozenset[Any]], ...]:
    return tuple((kind, frozenset(kinds[kind])) for kind in sorted(kinds) if kinds[kind])


def _joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The union of intervals, as disjoint ones."""
    out: list[Interval] = []
    for interval in sorted(intervals):
        if out and interval.low <= out[-1].high:
            out[-1] = Interval(out[-1].low, max(out[-1].high, interval.high))
        else:
            out.append(interval)
    return tuple(out)


def _crossed(first: tuple[Interval, ...], second: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """The intersection of two unions, in one walk along both."""
    out, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        low, high = max(first[i].low, second[j].low), min(first[i].high, second[j].high)
        if low < high:
            out.append(Interval(low, high))
        if first[i].high < second[j].high:
            i += 1
        else:
            j += 1
    return tuple(out)


def _holds(intervals: tuple[Interval, ...], number: Number) -> bool:
    """Whether the number is within one of the intervals."""
    at = bisect_right(intervals, Cut(number, False), key=lambda interval: interval.low) - 1
    return at >= 0 and Cut(number, True) <= intervals[at].high
