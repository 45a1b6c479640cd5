"""Encoders of categories, lists of them and texts: codes, with 0 for what is missing or was never seen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.features.spec import Spec
from funnel.types import Int32
from funnel.values.truths import truth
from funnel.values.words import listed, word

#: Most values of a list that are kept, most words that are known, and in how many rows a word must be.
MOST_VALUES, MOST_WORDS, WORD_COUNT = 16, 5000, 2

_WORD = re.compile(r"\w+")


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
class BooleanEncoder(CategoryEncoder):
    """Codes of truth values: false before true, of those that were seen; 0 for a missing one."""

    @classmethod
    def fit(cls, values: Sequence[Any]) -> BooleanEncoder:
        """A value that no row has gets no code: nothing could be learned of it."""
        seen = {_truth(value) for value in values}
        return cls([name for name in ("false", "true") if name in seen])

    def encode(self, values: Sequence[Any]) -> Int32:
        """int32 [n]."""
        return super().encode([_truth(value) for value in values])


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
        """Lists keep every value; of words the most frequent 5,000 that are in two rows or more."""
        parts = _words if text else _listed
        counts: Counter[str] = Counter()
        for value in values:
            counts.update(set(parts(value)))
        kept = _by_frequency(counts)
        if text:
            kept = [word for word in kept if counts[word] >= WORD_COUNT][:MOST_WORDS]
        # Once more through the values: the parts of all of them at once would be many times the values.
        known = set(kept)
        longest = max((len(known.intersection(parts(value))) for value in values), default=0)
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
            codes = sorted({code for part in parts if (code := self._codes.get(part, 0))})[-self.width :]
            out[row, : len(codes)] = codes
        return out


def _numbered(values: Iterable[str]) -> dict[str, int]:
    return {value: number for number, value in enumerate(values, start=1)}


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda value: (-counts[value], value))


def _key(value: Any) -> str | None:
    """A value as text, as it is in a table; None where it is missing or cannot be one."""
    try:
        return word(value, "")
    except DataError:
        return None


def _truth(value: Any) -> str | None:
    try:
        return _key(truth(value, ""))
    except DataError:
        return None


def _listed(value: Any) -> list[str]:
    try:
        return listed(value, "")
    except DataError:
        return []


def _words(value: Any) -> Iterator[str]:
    """The words, one at a time: all words of a long text at once take many times its memory."""
    return (match[0] for match in _WORD.finditer(value.lower())) if isinstance(value, str) else iter(())
