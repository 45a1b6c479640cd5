"""Columns laid out for filters: rows sorted by value, so that a condition is a few slices of them."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from funnel.errors import BundleError, ConfigError
from funnel.types import Int32, Int64
from funnel.values.arrays import check_offsets, check_rising, check_rows, mapped

_BOUNDS = ("lt", "le", "gt", "ge")


@dataclass(frozen=True, eq=False)
class Column:
    """The rows whose value is not missing, sorted by it.

    rows: int32 [m]. kinds: what its values are: number, truth value, text, or the name of another type.
    """

    name: str
    rows: Int32
    kinds: frozenset[str]

    def values(self, wanted: Any) -> list[Any]:
        """The values that are wanted, as a list.

        Raises: ConfigError for a missing one, one that cannot be looked up, and where the column can have
        none of them.
        """
        many = isinstance(wanted, list | tuple | set | frozenset | np.ndarray)
        values = [_plain(value) for value in wanted] if many else [_plain(wanted)]
        for value in values:
            if value is None or value != value:
                raise self._wrong(f"{value!r} is no value to look for; a missing one equals nothing")
            if isinstance(value, list | dict | set):
                raise self._wrong(f"{value!r} is no single value")
        if values and self.kinds and not any(_kind(value) in self.kinds for value in values):
            raise self._wrong(f"{values[0]!r} is a {_kind(values[0])}; this column holds {self._holds}")
        return values

    def bounds(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The bounds by name. Raises: ConfigError unless there is one, all are known, and all are numbers."""
        unknown = sorted(map(str, set(wanted) - set(_BOUNDS)))
        if unknown or not wanted:
            raise self._wrong(
                f"unknown bound {unknown}; use {sorted(_BOUNDS)}" if unknown else "no bound given"
            )
        if not isinstance(self, Numbers) and self.kinds:
            raise self._wrong(f"bounds need a number column, this one holds {self._holds}")
        limits = {bound: _plain(limit) for bound, limit in wanted.items()}
        for bound, limit in limits.items():
            if _kind(limit) != "number" or limit != limit:
                raise self._wrong(f"bound '{bound}' is {limit!r}; it must be a number")
        return limits

    def equal(self, wanted: Iterable[Any]) -> list[slice]:
        """The stretches of `rows` with these values."""
        raise NotImplementedError

    def within(self, bounds: Mapping[str, Any]) -> slice:
        """The stretch of `rows` within the bounds."""
        return slice(0)

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """Write the arrays as `NUMBER.*`; the rest, for `load_column`."""
        np.save(folder / f"{number}.rows.npy", self.rows)
        return {"name": self.name, "kinds": sorted(self.kinds)}

    @property
    def _holds(self) -> str:
        return " or ".join(f"{kind}s" for kind in sorted(self.kinds))

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"filter on '{self.name}': {what}")


@dataclass(frozen=True, eq=False)
class Numbers(Column):
    """sorted: the numbers, rising [m]; whole ones are compared as such, however large."""

    sorted: NDArray[Any]

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `Column`."""
        np.save(folder / f"{number}.sorted.npy", self.sorted)
        return super().save(folder, number) | {"of": "numbers"}

    def equal(self, wanted: Iterable[Any]) -> list[slice]:
        """See `Column`."""
        numbers = [value for value in wanted if _kind(value) == "number"]
        return [slice(bisect_left(self.sorted, one), bisect_right(self.sorted, one)) for one in numbers]

    def within(self, bounds: Mapping[str, Any]) -> slice:
        """See `Column`."""
        first, behind = 0, len(self.sorted)
        for bound, limit in bounds.items():
            # What is below a bound of this kind, and what is not, part here.
            parting = (bisect_left if bound in ("lt", "ge") else bisect_right)(self.sorted, limit)
            first = max(first, parting) if bound in ("gt", "ge") else first
            behind = min(behind, parting) if bound in ("lt", "le") else behind
        return slice(first, max(first, behind))


@dataclass(frozen=True, eq=False)
class Terms(Column):
    """terms: the distinct values; those rows that have term t are at `offsets[t]:offsets[t + 1]`."""

    terms: pd.Index[Any]
    offsets: Int64

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `Column`."""
        np.save(folder / f"{number}.offsets.npy", self.offsets)
        write_frame(pd.DataFrame({"term": self.terms}), folder / f"{number}.terms.arrow")
        return super().save(folder, number) | {"of": "terms"}

    def equal(self, wanted: Iterable[Any]) -> list[slice]:
        """See `Column`."""
        places = [self._place(value) for value in wanted if _kind(value) in self.kinds]
        return [slice(self.offsets[at], self.offsets[at + 1]) for at in places if at is not None]

    def _place(self, value: Any) -> int | None:
        try:
            return operator.index(self.terms.get_loc(value))  # type: ignore[arg-type]  # an int: terms are unique
        except KeyError:
            return None


def laid_out(name: str, column: pd.Series[Any]) -> Column:
    """A column of a table, by what its values are. One of vectors can be asked for nothing."""
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


def load_column(folder: Path, number: int, about: Mapping[str, Any], n: int) -> Column:
    """What `Column.save` wrote, memory-mapped. n: rows of the table.

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
    found = pd.Index(terms)
    if isinstance(found, pd.CategoricalIndex):
        found = found.astype(found.categories.dtype)
    text = isinstance(found.dtype, pd.StringDtype)
    kinds = {"text"} if text else {_kind(_plain(term)) for term in found}
    return Terms(name, rows[order], frozenset(kinds), found, offsets)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__
