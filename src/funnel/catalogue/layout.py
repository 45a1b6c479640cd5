"""Columns laid out for filters: rows sorted by value, so that a condition is a few slices of them."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.catalogue.columns import FilterColumn, kind_of, plain_value
from funnel.catalogue.condition import Bound, Condition, Number
from funnel.catalogue.frames import read_frame, write_frame
from funnel.catalogue.stretches import below, equal, inside
from funnel.errors import DataError
from funnel.types import Int32, Int64
from funnel.values.arrays import check_offsets, check_rising, check_rows, mapped
from funnel.values.words import word


@dataclass(frozen=True, eq=False)
class Numbers(FilterColumn):
    """A column of numbers. sorted: rising [m]; whole numbers are compared exactly, however large."""

    sorted: NDArray[Any]

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `FilterColumn`."""
        np.save(folder / f"{number}.sorted.npy", self.sorted)
        return super().save(folder, number) | {"of": "numbers"}

    @property
    def single(self) -> bool:
        """See `FilterColumn`."""
        return True

    @property
    def ordered(self) -> bool:
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
    """A column of distinct values, `terms`; the rows that have term t are `rows[offsets[t]:offsets[t +
    1]]`.
    """

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
        """A truth value for its text, or a text for another value, where the column holds that form."""
        if self.kinds == {"truth value"} and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        written = self.kinds == {"text"} and kind_of(value) in self._in_writing
        try:
            return word(value, self.name) if written else value
        except DataError as error:
            raise self._wrong(str(error)) from None

    @cached_property
    def _in_writing(self) -> frozenset[str]:
        """The kinds, other than text, that the column holds as text: numbers, truth values."""
        terms = self.terms.astype("str")
        of = {"number": r"-?[0-9]+(?:\.[0-9]+)?", "truth value": "(?i)true|false"}
        return frozenset(kind for kind, form in of.items() if terms.str.fullmatch(form).any())

    def _position(self, kind: str, value: Any) -> int | None:
        for form in _forms(value):
            with suppress(KeyError, OverflowError):
                at = operator.index(self.terms.get_loc(form))  # type: ignore[arg-type]  # an int: terms are unique
                if kind_of(plain_value(self.terms[at])) == kind:  # Python finds True where 1 is looked for
                    return at
        return None


@dataclass(frozen=True, eq=False)
class VectorColumn(FilterColumn):
    """A column of vectors, which no filter may name: a number in one says nothing, and there are many."""

    def save(self, folder: Path, number: int) -> dict[str, Any]:
        """See `FilterColumn`."""
        return super().save(folder, number) | {"of": "vectors"}

    def values(self, wanted: Any, most: int) -> list[tuple[str, Any]]:
        """See `FilterColumn`. Raises: ConfigError."""
        raise self._wrong("it holds vectors, by which nothing is filtered")

    def bounds(self, wanted: Mapping[Any, Any]) -> dict[Bound, Number]:
        """See `FilterColumn`. Raises: ConfigError."""
        raise self._wrong("it holds vectors, by which nothing is filtered")

    def rows_of(self, condition: Condition) -> Int32:
        """See `FilterColumn`. None."""
        return self.rows


def laid_out(name: str, column: pd.Series[Any]) -> FilterColumn:
    """A column of a table laid out for filters, by the type of its values. Lists of fractions are vectors,
    of which nothing is laid out."""
    present = np.flatnonzero(column.notna().to_numpy()).astype(np.int32)
    values = column.iloc[present]
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        numbers = values.to_numpy()
        order = np.argsort(numbers, kind="stable")
        return Numbers(name, present[order], frozenset({"number"}), numbers[order])
    if len(values) and _is_vector(values.iloc[0]):
        return VectorColumn(name, present[:0], frozenset({"vector"}))
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
    if about["of"] == "vectors":
        return VectorColumn(name, rows[:0], kinds)
    if about["of"] == "numbers":
        path = folder / f"{number}.sorted.npy"
        numbers = mapped(path, "number", len(rows))
        check_rising(numbers, path)
        return Numbers(name, rows, kinds, numbers)
    terms = pd.Index(read_frame(folder / f"{number}.terms.arrow")["term"])
    offsets = mapped(folder / f"{number}.offsets.npy", "int64", len(terms) + 1)
    check_offsets(offsets, len(rows), folder / f"{number}.offsets.npy")
    return Terms(name, rows, kinds, terms, offsets)


def _is_vector(value: Any) -> bool:
    """Whether a value of a column is a vector and no list of things that an item has."""
    return (
        isinstance(value, list | tuple | np.ndarray)
        and len(value) > 0
        and np.asarray(value).dtype.kind == "f"
    )


def _terms(name: str, rows: Int32, values: Any) -> Terms:
    codes, terms = pd.factorize(values)
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]  # a missing one's code is −1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes[order], minlength=len(terms)))])
    index = pd.Index(terms)
    if isinstance(index, pd.CategoricalIndex):
        index = index.astype(index.categories.dtype)
    text = isinstance(index.dtype, pd.StringDtype)
    kinds = {"text"} if text else {kind_of(plain_value(term)) for term in index}
    return Terms(name, rows[order], frozenset(kinds), index, offsets)


def _is_whole(text: str) -> bool:
    """Whether the text can be encoded: half a surrogate pair cannot, and no column holds it."""
    return text.isascii() or text.encode(errors="replace").decode() == text


def _forms(value: Any) -> list[Any]:
    """A value as it may be among the terms: as it is, as a table writes it, and as earlier tables did."""
    usual = word(value, "") if isinstance(value, str) else None
    if usual is None:
        return [value]
    return [value, usual, usual.capitalize() if usual in ("true", "false") else f"{usual}.0"]
