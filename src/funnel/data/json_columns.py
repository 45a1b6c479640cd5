"""Makes columns of records of JSON: each is of one kind, and no value is changed by those beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from funnel.errors import DataError
from funnel.values.missing import quoted
from funnel.values.text import whole

#: The number of a record's line, and what is there.
Numbered: TypeAlias = tuple[int, Any]

_KINDS = {str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list"}


def kind_of(value: Any) -> str:
    """What a value of JSON is, in words.

    >>> kind_of(7), kind_of([7]), kind_of({})
    ('a number', 'a list', 'a record')
    """
    return _KINDS.get(type(value), "nothing" if value is None else "a record")


@dataclass
class JsonColumns:
    """Columns of records that come block by block. where: names them in errors, in front of their number."""

    where: str
    _kinds: dict[str, Numbered] = field(default_factory=dict)
    _blocks: list[Any] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is a record."""
        return bool(self._blocks)

    def add(self, block: list[Numbered]) -> None:
        """Further records. Raises: DataError naming the first that is wrong."""
        for number, record in block:
            if not isinstance(record, dict):
                raise DataError(f"{self.where} {number}, is {kind_of(record)}: a record is expected")
        block = [(number, self._flat(number, record)) for number, record in block]
        names = dict.fromkeys(name for _, record in block for name in record)
        self._blocks.append(pa.table({name: self._column(name, block) for name in names}))

    def table(self) -> Any:
        """All records so far."""
        names = dict.fromkeys(name for block in self._blocks for name in block.column_names)
        return pa.table({name: self._whole_column(name) for name in names})

    def _flat(self, number: int, record: dict[str, Any]) -> dict[str, Any]:
        """The record whose parts that are records are columns of their own: {"a": {"b": 1}} is {"a.b": 1}."""
        while any(isinstance(value, dict) for value in record.values()):
            parts = [part for name, value in record.items() for part in _parts(name, value)]
            record = dict(parts)
            if len(record) < len(parts):
                names = [name for name, _ in parts]
                twice = next(name for name in names if names.count(name) > 1)
                raise self._error(number, f"{twice!r} is there twice: as a name, and as a part of a record")
        return record

    def _column(self, name: str, block: list[Numbered]) -> Any:
        for number, record in block:
            if record.get(name) is not None:
                self._check(name, number, record[name])
        try:
            return pa.array([record.get(name) for _, record in block])
        except (pa.ArrowException, OverflowError, UnicodeError):
            return pa.array([self._in_writing(name, *numbered) for numbered in block], pa.string())

    def _check(self, name: str, number: int, value: Any) -> None:
        kind = kind_of(value)
        at, first = self._kinds.setdefault(name, (number, kind))
        if kind != first:
            here = f"{name!r} is {kind}, {quoted(value)}, and it is {first} in {at}"
            raise self._error(number, f"{here}: all of a column are of one kind")

    def _in_writing(self, name: str, number: int, record: Any) -> str | None:
        """What no type of Arrow holds: whole numbers beyond 64 bits, and large ones beside fractions."""
        value = whole(record.get(name), f"{self.where} {number}: {name!r}")
        if isinstance(value, list):
            raise self._error(number, f"{name!r} is a list, or behind one, whose values are not of one kind")
        return None if value is None else str(value)

    def _error(self, number: int, what: str) -> DataError:
        return DataError(f"{self.where} {number}: {what}")

    def _whole_column(self, name: str) -> Any:
        parts = [
            block.column(name) if name in block.column_names else pa.chunked_array([pa.nulls(len(block))])
            for block in self._blocks
        ]
        kind = _common({part.type for part in parts})
        try:
            return _cast(parts, kind)
        except pa.ArrowException:  # large whole numbers, in lists beside lists of fractions
            return _cast(parts, pa.list_(pa.string()))


def _parts(name: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(name, value)]
    return [(f"{name}.{part}", inner) for part, inner in value.items()]


def _cast(parts: list[Any], kind: Any) -> Any:
    return pa.chunked_array([chunk for part in parts for chunk in part.cast(kind).chunks], kind)


def _common(kinds: set[Any]) -> Any:
    """The type that holds values of all of these: text, where some are whole numbers and others are not."""
    known = kinds - {pa.null(), pa.list_(pa.null())}
    if len(known) <= 1:
        return next(iter(known or (kinds - {pa.null()}) or kinds))
    if all(map(pa.types.is_list, known)):
        numeric = all(not pa.types.is_string(kind.value_type) for kind in known)
        return pa.list_(pa.float64() if numeric else pa.string())
    return pa.string()
