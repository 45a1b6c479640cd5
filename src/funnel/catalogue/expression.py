"""A filter as an expression: conditions joined by and, or, not; checked, within limits, simplified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from funnel.catalogue.columns import FilterColumn
from funnel.catalogue.condition import Condition
from funnel.errors import ConfigError
from funnel.values.shown import shown

Where: TypeAlias = Mapping[str, Any]

#: What a filter may have at most: mappings within mappings; conditions and `and`, `or`, `not`; values in all.
MOST_DEPTH, MOST_ENTRIES, MOST_VALUES = 32, 1_000, 100_000


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts hold; true without parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts holds; false without parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Expression


Expression: TypeAlias = And | Or | Not | Condition


def read(where: Where, columns: Mapping[str, FilterColumn]) -> Expression:
    """A filter as an expression, in which conditions of one column are merged where that is possible.

    Raises: ConfigError for what is no filter, one beyond the limits, an unknown column, naming those there
    are, an unknown bound, and a value that the column cannot have.
    """
    return _Reader(columns).mapping(where, "a filter", 1)


def taken(where: Where, depth: int, left: int) -> int:
    """How many entries a filter may have beside this part of it. Raises: ConfigError beyond the limits."""
    if depth > MOST_DEPTH:
        raise ConfigError(f"filter: it is nested more than {MOST_DEPTH} deep; at most that is taken")
    left -= max(1, len(where))
    if left < 0:
        raise ConfigError(
            f"filter: it has more than {MOST_ENTRIES:,} conditions; at most that is taken "
            "(a list of values is one condition)"
        )
    return left


class _Reader:
    """Reads one filter, counting what is in it before any work is spent on that."""

    def __init__(self, columns: Mapping[str, FilterColumn]) -> None:
        self._columns = columns
        self._entries, self._values = MOST_ENTRIES, MOST_VALUES

    def mapping(self, where: Any, what: str, depth: int) -> Expression:
        if not isinstance(where, Mapping):
            raise ConfigError(f'filter: {what} must be like {{"column": value}}, not {shown(where)}')
        self._entries = taken(where, depth, self._entries)
        return self._and(self._entry(key, wanted, depth) for key, wanted in where.items())

    def _entry(self, key: Any, wanted: Any, depth: int) -> Expression:
        if not isinstance(key, str):
            raise ConfigError(f"filter: {shown(key)} is no name of a column; a text is expected")
        if key == "and":
            return self._and(self._parts(key, wanted, depth))
        if key == "or":
            return _or(self._parts(key, wanted, depth))
        if key == "not":
            return Not(self.mapping(wanted, "'not'", depth + 1))
        return self._condition(key, wanted)

    def _parts(self, key: str, wanted: Any, depth: int) -> Iterable[Expression]:
        if not isinstance(wanted, list | tuple):
            raise ConfigError(f"filter: '{key}' takes a list of filters, not {shown(wanted)}")
        return (self.mapping(part, f"each part of '{key}'", depth + 1) for part in wanted)

    def _condition(self, name: str, wanted: Any) -> Condition:
        column = self._columns.get(name)
        if column is None:
            names = ", ".join(self._columns) or "none"
            raise ConfigError(f"filter on {shown(name)}: no such item column; there are: {names}")
        if isinstance(wanted, Mapping) and set(wanted) == {"contains"}:
            wanted = wanted["contains"]
        if isinstance(wanted, Mapping):
            return Condition.within(name, column.bounds(wanted))
        values = column.values(wanted, self._values)
        self._values -= len(values)
        return Condition.one_of(name, values)

    def _and(self, parts: Iterable[Expression]) -> Expression:
        flat = _flat(And, parts)
        return _simplified(
            And, _merged(flat, Condition.both, lambda condition: self._columns[condition.column].single)
        )


def _or(parts: Iterable[Expression]) -> Expression:
    # An item that has several values passes either of two lists of values when it passes both in one.
    return _simplified(Or, _merged(_flat(Or, parts), Condition.either, lambda _: True))


def _flat(kind: type[And] | type[Or], parts: Iterable[Expression]) -> list[Expression]:
    """The parts, in which parts of the same kind are replaced by their own parts."""
    out: list[Expression] = []
    for part in parts:
        out += part.parts if isinstance(part, And | Or) and isinstance(part, kind) else [part]
    return out


def _merged(
    parts: Iterable[Expression],
    merge: Callable[[Condition, Condition], Condition],
    may: Callable[[Condition], bool],
) -> list[Expression]:
    """The parts, with one condition for each column whose conditions may be merged."""
    conditions: dict[str, list[Condition]] = {}
    out: list[Expression] = []
    for part in parts:
        if isinstance(part, Condition) and may(part):
            conditions.setdefault(part.column, []).append(part)
        else:
            out.append(part)
    return [*(_in_pairs(merge, same) for same in conditions.values()), *out]


def _in_pairs(merge: Callable[[Condition, Condition], Condition], same: list[Condition]) -> Condition:
    """All merged, pair by pair: merging one after another would copy a growing condition at every step."""
    while len(same) > 1:
        rest = same[-1:] if len(same) % 2 else []
        same = [merge(*two) for two in zip(same[::2], same[1::2], strict=False)] + rest
    return same[0]


def _simplified(kind: type[And] | type[Or], parts: list[Expression]) -> Expression:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))
