"""One encoder for each kind of column: from the values of a table to arrays, with a place for the unknown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.types import Float32, Int32

Encoding = Literal["category", "multi_category", "number", "vector"]

#: Most values of a list that are kept, most words that are known, and how often a word must be met.
MOST_VALUES, MOST_WORDS, WORD_COUNT = 16, 5000, 2

#: Numbers are cut at so many standard deviations.
CLIP = 5.0

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Spec:
    """The form of an encoded column.

    kind "category": int32 [n], 0 = missing or never seen, size codes in all, width 1.
    "multi_category": int32 [n, width], the codes first, then 0; size codes in all.
    "number": float32 [n, 2], standardised and cut at ±5, and whether it is missing; size and width 2.
    "vector": float32 [n, width], size = width.
    """

    kind: Encoding
    size: int
    width: int


class ColumnEncoder(Protocol):
    """Fitted on some values; encodes any."""

    @property
    def spec(self) -> Spec:
        """The form of what `encode` returns."""

    def encode(self, values: Sequence[Any]) -> NDArray[Any]:
        """Never fails on a value that is missing, infinite or was never seen."""


@dataclass(frozen=True)
class CategoryEncoder:
    """Codes from 1, the most frequent value first, ties by value: a smaller code is a commoner value."""

    values: list[str]
    _codes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", _numbered(self.values))

    @classmethod
    def fit(cls, values: Sequence[Any]) -> CategoryEncoder:
        """Every value has a code."""
        return cls(_by_frequency(Counter(key for value in values if (key := _key(value)) is not None)))

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("category", len(self.values) + 1, 1)

    def encode(self, values: Sequence[Any]) -> Int32:
        """int32 [n]."""
        codes = (self._codes.get(_key(value) or "", 0) for value in values)
        return np.fromiter(codes, dtype=np.int32, count=len(values))


@dataclass(frozen=True)
class ListEncoder:
    """Codes as in `CategoryEncoder` for each value of a list, or each word of a text.

    A list with more than `width` known values keeps the rarest: they say most. Codes ascend in a row.
    """

    values: list[str]
    width: int
    text: bool
    _codes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_codes", _numbered(self.values))

    @classmethod
    def fit(cls, values: Sequence[Any], text: bool) -> ListEncoder:
        """Lists keep every value; of words the most frequent 5,000 that are met in two rows or more."""
        rows = [set(_words(value) if text else _listed(value)) for value in values]
        met = Counter(part for row in rows for part in row)
        kept = _by_frequency(met)
        if text:
            kept = [word for word in kept if met[word] >= WORD_COUNT][:MOST_WORDS]
        known = set(kept)
        longest = max((len(row & known) for row in rows), default=0)
        return cls(kept, min(max(longest, 1), MOST_VALUES), text)

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("multi_category", len(self.values) + 1, self.width)

    def encode(self, values: Sequence[Any]) -> Int32:
        """int32 [n, width]."""
        out = np.zeros((len(values), self.width), dtype=np.int32)
        for row, value in enumerate(values):
            parts = _words(value) if self.text else _listed(value)
            codes = sorted({self._codes.get(part, 0) for part in parts} - {0})[-self.width :]
            out[row, : len(codes)] = codes
        return out


@dataclass(frozen=True)
class NumberEncoder:
    """Standardised by the mean and the deviation of the finite values that it was fitted on."""

    mean: float
    deviation: float

    @classmethod
    def fit(cls, values: Sequence[Any]) -> NumberEncoder:
        """Mean 0 and deviation 1 where no value is finite; deviation 1 where all are equal."""
        finite = _numbers(values)
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return cls(0.0, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = float(finite.mean()), float(finite.std())
        if not np.isfinite([mean, deviation]).all():
            return cls(0.0, 1.0)
        return cls(mean, deviation or 1.0)

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("number", 2, 2)

    def encode(self, values: Sequence[Any]) -> Float32:
        """float32 [n, 2]."""
        numbers = _numbers(values)
        known = np.isfinite(numbers)
        scaled = (np.where(known, numbers, self.mean) - self.mean) / self.deviation
        return np.stack([np.clip(scaled, -CLIP, CLIP), ~known], axis=1).astype(np.float32)


@dataclass(frozen=True)
class VectorEncoder:
    """Vectors as they are; what is missing or not finite is 0."""

    name: str
    size: int

    @classmethod
    def fit(cls, values: Sequence[Any], name: str, size: int | None) -> VectorEncoder:
        """Raises DataError when the size is neither given nor to be seen."""
        seen = (len(value) for value in values if isinstance(value, np.ndarray | list | tuple))
        length = size or next(seen, 0)
        if not length:
            raise DataError(
                f"vector column {name!r} has no size: no row holds a vector; give `size` in the schema"
            )
        return cls(name, length)

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("vector", self.size, self.size)

    def encode(self, values: Sequence[Any]) -> Float32:
        """float32 [n, size]. Raises DataError for a vector of another length."""
        out = np.zeros((len(values), self.size), dtype=np.float32)
        for row, value in enumerate(values):
            if not isinstance(value, np.ndarray | list | tuple):
                continue
            if len(value) != self.size:
                raise DataError(
                    f"vector column {self.name!r}, row {row}: {len(value)} numbers, {self.size} are expected"
                )
            with np.errstate(over="ignore"):
                out[row] = np.asarray(value, dtype=np.float32)
        return np.nan_to_num(out, copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def fit_column(name: str, kind: str, size: int | None, values: Sequence[Any]) -> ColumnEncoder:
    """The encoder of a schema's column kind, fitted on these values."""
    if kind == "number":
        return NumberEncoder.fit(values)
    if kind == "vector":
        return VectorEncoder.fit(values, name, size)
    if kind in ("multi_category", "text"):
        return ListEncoder.fit(values, text=kind == "text")
    return CategoryEncoder.fit(values)


ENCODERS: dict[str, type[CategoryEncoder | ListEncoder | NumberEncoder | VectorEncoder]] = {
    encoder.__name__: encoder for encoder in (CategoryEncoder, ListEncoder, NumberEncoder, VectorEncoder)
}


def to_state(encoder: ColumnEncoder) -> dict[str, Any]:
    """Plain values, for JSON."""
    fields = {name: value for name, value in vars(encoder).items() if not name.startswith("_")}
    return {"encoder": type(encoder).__name__, **fields}


def from_state(state: dict[str, Any]) -> ColumnEncoder:
    """From what `to_state` gave."""
    return ENCODERS[state["encoder"]](**{key: value for key, value in state.items() if key != "encoder"})


def _numbered(values: Iterable[str]) -> dict[str, int]:
    return {value: number for number, value in enumerate(values, start=1)}


def _by_frequency(met: Counter[str]) -> list[str]:
    return sorted(met, key=lambda value: (-met[value], value))


def _key(value: Any) -> str | None:
    """A value in writing; 3, 3.0 and "3" are one; None where it is missing or not finite."""
    if isinstance(value, str):
        return value or None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else str(value)
    return str(value)


def _listed(value: Any) -> list[str]:
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [key for part in value if (key := _key(part)) is not None]
    return [] if (key := _key(value)) is None else [key]


def _words(value: Any) -> list[str]:
    return _WORD.findall(value.lower()) if isinstance(value, str) else []


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    column = pd.to_numeric(pd.Series(values), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
