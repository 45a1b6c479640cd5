"""Columns laid out for filters: rows sorted by value, so that a condition is a few slices of them."""

from __future__ import annotations

import operator
from collections.abc import Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from funnel.catalogue.condition import Bound, Condition, Number
from funnel.catalogue.stretches import below, equal, inside
from funnel.errors import BundleError, ConfigError, DataError
from funnel.types import Int32, Int64
from funnel.values.arrays import check_offsets, check_rising, check_rows, mapped
from funnel.values.shown import shown
from funnel.values.words import word

_BOUNDS = ("lt", "le", "gt", "ge")


@dataclass(frozen=True, eq=False)
class FilterColumn:
    """The rows whose value is not missing, sorted by it.

    rows: int32 [m]. kinds: what its values are: number, truth value, text, or the name of another type.
    """

    name: str
    rows: Int32
    kinds: frozenset[str]

    @property
    def single(self) -> bool:
        """Whether a row has one value at most, and not a list of them."""
        return False

    def values(self, wanted: Any, most: int) -> list[tuple[str, Any]]:
        """The values that are wanted, each with its kind. most: so many are taken.

        Raises: ConfigError for a missing one, one that cannot be looked up, too many, and where the column
        can have none of them.
        """
        many = isinstance(wanted, list | tuple | set | frozenset | pd.Series | pd.Index) or (
            isinstance(wanted, np.ndarray) and wanted.ndim == 1
        )
        if many and len(wanted) > most:
            raise self._wrong(
                f"{len(wanted):,} values are listed; {most:,} are left of what a filter may list"
            )
        values = [self._value(value) for value in (wanted if many else [wanted])]
        if values and self.kinds and not any(kind in self.kinds for kind, _ in values):
            kind, value = values[0]
            raise self._wrong(f"{shown(value)} is a {kind}; this column holds {self._holds}")
        return values

    def bounds(self, wanted: Mapping[Any, Any]) -> dict[Bound, Number]:
        """The bounds by name. Raises: ConfigError unless there is one, all are known, and all are numbers."""
        unknown = [shown(bound) for bound in wanted if bound not in _BOUNDS]
        if unknown or not wanted:
            raise self._wrong(
                f"unknown bound [{', '.join(unknown[:3])}]; use {sorted(_BOUNDS)}"
                if unknown
                else "no bound given"
            )
        if not isinstance(self, Numbers) and self.kinds:
            raise self._wrong(f"bounds need a number column, this one holds {self._holds}")
        limits: dict[Bound, Number] = {bound: _plain(limit) for bound, limit in wanted.items()}
        for bound, limit in limits.items():
            if _kind(limit) != "number" or _is_nan(limit):
                raise self._wrong(f"bound '{bound}' is {shown(limit)}; it must be a number")
        return limits

    def rows_of(self, condition: Condition) -> Int32:
        """The rows that pass a condition on this column; a row may be there twice."""
        raise NotImplementedError

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """Write the arrays as `NUMBER.*`; the rest, for `load_column`."""
        np.save(folder / f"{number}.rows.npy", self.rows)
        return {"name": self.name, "kinds": sorted(self.kinds)}

    def _value(self, value: Any) -> tuple[str, Any]:
        """One value with its kind."""
        value = _plain(value)
        if (
            value is None
            or value is pd.NA
            or value is pd.NaT
            or (isinstance(value, float) and value != value)
        ):
            raise self._wrong(f"{shown(value)} is no value to look for; a missing one equals nothing")
        value = self._meant(value)
        kind = _kind(value)
        if not isinstance(value, str | int | float) and not (
            kind in self.kinds and isinstance(value, Hashable)
        ):
            raise self._wrong(f"{shown(value)} is no single value")
        return kind, value

    def _meant(self, value: Any) -> Any:
        """A wanted value in the form that this column has."""
        return value

    @property
    def _holds(self) -> str:
        return " or ".join(f"{kind}s" for kind in sorted(self.kinds))

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"filter on '{self.name}': {what}")


@dataclass(frozen=True, eq=False)
class Numbers(FilterColumn):
    """sorted: the numbers, rising [m]; whole ones are compared as such, however large."""

    sorted: NDArray[Any]

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `FilterColumn`."""
        np.save(folder / f"{number}.sorted.npy", self.sorted)
        return super().save(folder, number) | {"of": "numbers"}

    @property
    def single(self) -> bool:
        """See `FilterColumn`."""
        return True

    def rows_of(self, condition: Condition) -> Int32:
        """See `FilterColumn`."""
        parts = [
            self.rows[below(self.sorted, low) : below(self.sorted, high)] for low, high in condition.intervals
        ]
        if numbers := condition.of_kind("number"):
            parts.append(self.rows[inside(equal(self.sorted, numbers))])
        return parts[0] if len(parts) == 1 else np.concatenate([self.rows[:0], *parts])


@dataclass(frozen=True, eq=False)
class Terms(FilterColumn):
    """terms: the distinct values; those rows that have term t are at `offsets[t]:offsets[t + 1]`."""

    terms: pd.Index[Any]
    offsets: Int64

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `FilterColumn`."""
        np.save(folder / f"{number}.offsets.npy", self.offsets)
        write_frame(pd.DataFrame({"term": self.terms}), folder / f"{number}.terms.arrow")
        return super().save(folder, number) | {"of": "terms"}

    def rows_of(self, condition: Condition) -> Int32:
        """See `FilterColumn`."""
        positions_of_kinds = [self._positions(kind, condition.of_kind(kind)) for kind in sorted(self.kinds)]
        positions = np.concatenate([np.empty(0, dtype=np.int64), *positions_of_kinds])
        return self.rows[inside((self.offsets[positions], self.offsets[positions + 1]))]

    def _positions(self, kind: str, wanted: Collection[Any]) -> Int64:
        """The positions in `terms` of those wanted values that are there: int64."""
        if kind == "text" and len(self.kinds) == 1:
            whole = (form for text in wanted if _is_whole(text) for form in _forms(text))
            texts = pd.Index(list(dict.fromkeys(whole)), dtype=self.terms.dtype)
            positions = self.terms.get_indexer(texts)
            return positions[positions >= 0].astype(np.int64)
        each = (self._position(kind, value) for value in wanted)
        return np.array([at for at in each if at is not None], dtype=np.int64)

    def _meant(self, value: Any) -> Any:
        """A written truth value as one; other values in writing, where the column has such in writing."""
        if self.kinds == {"truth value"} and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        written = self.kinds == {"text"} and _kind(value) in self._in_writing
        try:
            return word(value, self.name) if written else value
        except DataError as error:
            raise self._wrong(str(error)) from None

    @cached_property
    def _in_writing(self) -> frozenset[str]:
        """What else than text the column's texts write."""
        terms = self.terms.astype("str")
        of = {"number": r"-?[0-9]+(?:\.[0-9]+)?", "truth value": "(?i)true|false"}
        return frozenset(kind for kind, form in of.items() if terms.str.fullmatch(form).any())

    def _position(self, kind: str, value: Any) -> int | None:
        for form in _forms(value):
            with suppress(KeyError, OverflowError):
                at = operator.index(self.terms.get_loc(form))  # type: ignore[arg-type]  # an int: terms are unique
                if _kind(_plain(self.terms[at])) == kind:  # Python finds True where 1 is looked for
                    return at
        return None


def laid_out(name: str, column: pd.Series[Any]) -> FilterColumn:
    """A column of a table laid out for filters, by the type of its values. No value matches a vector."""
    present = np.flatnonzero(column.notna().to_numpy()).astype(np.int32)
    values = column.iloc[present]
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = values.to_numpy()
        order = np.argsort(numbers, kind="stable")
        return Numbers(name, present[order], frozenset({"number"}), numbers[order])
    if len(values) and isinstance(values.iloc[0], list | tuple | set | frozenset | np.ndarray):
        each = pd.Series(values.to_numpy(), index=present).explode()
        return _terms(name, each.index.to_numpy(), each.to_numpy())
    return _terms(name, present, values)


def load_column(folder: Path, number: int, about: Mapping[str, Any], n: int) -> FilterColumn:
    """What `FilterColumn.save` wrote, memory-mapped. n: rows of the table.

    Raises: BundleError when a file is missing, or leads to rows that are not there.
    """
    name, kinds = about["name"], frozenset(about["kinds"])
    rows = mapped(folder / f"{number}.rows.npy", "int32", None)
    check_rows(rows, n, folder / f"{number}.rows.npy")
    if about["of"] == "numbers":
        path = folder / f"{number}.sorted.npy"
        numbers = mapped(path, "number", len(rows))
        check_rising(numbers, path)
        return Numbers(name, rows, kinds, numbers)
    terms = pd.Index(read_frame(folder / f"{number}.terms.arrow")["term"])
    offsets = mapped(folder / f"{number}.offsets.npy", "int64", len(terms) + 1)
    check_offsets(offsets, len(rows), folder / f"{number}.offsets.npy")
    return Terms(name, rows, kinds, terms, offsets)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """A frame without its index as an Arrow file, not compressed, so that it can be mapped into memory."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_frame(path: Path) -> pd.DataFrame:
    """What `write_frame` wrote, memory-mapped: columns of numbers and text are read when they are used.

    Raises: BundleError when it is missing or damaged: that text and lists lie within the file is looked at.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)
        return table.to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BundleError(f"{path} cannot be read ({error}); build the bundle again") from error


def _terms(name: str, rows: Int32, values: Any) -> Terms:
    codes, terms = pd.factorize(values)
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]  # a missing one's code is −1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes[order], minlength=len(terms)))])
    index = pd.Index(terms)
    if isinstance(index, pd.CategoricalIndex):
        index = index.astype(index.categories.dtype)
    text = isinstance(index.dtype, pd.StringDtype)
    kinds = {"text"} if text else {_kind(_plain(term)) for term in index}
    return Terms(name, rows[order], frozenset(kinds), index, offsets)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def _is_whole(text: str) -> bool:
    """Whether it can be written: half a surrogate pair cannot, and no column holds it."""
    return text.isascii() or text.encode(errors="replace").decode() == text


def _forms(value: Any) -> list[Any]:
    """A value as it may be among the terms: as it is, as a table writes it, and as earlier tables did."""
    usual = word(value, "") if isinstance(value, str) else None
    if usual is None:
        return [value]
    return [value, usual, usual.capitalize() if usual in ("true", "false") else f"{usual}.0"]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__
