"""One column in figures: gaps, what looks wrong, how many values, which ones."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.columnar.columns import Coded, ColumnOf, Plain
from funnel.data.columnar.rows import blocks
from funnel.data.columns import ColumnKind, missing
from funnel.data.schema import Column, TableName
from funnel.settings import Settings
from funnel.types import Int64
from funnel.values.words import words

#: What a frame of columns says of each.
RECORD = (
    "kind", "rows", "missing", "unexpected", "distinct", "examples", "common",
    "smallest", "median", "largest",
)  # fmt: skip
BINS = 24
MOST_COMMON = 5
_HUGE = 1e300  # larger ones are so far apart that no float says how far
# Words that mean "no value" but were written as one.
_PLACEHOLDERS = frozenset({"nan", "null", "none", "n/a", "na", "nil", "?", "-", "--", "undefined"})


class NumberSummary(Settings):
    """The finite values of a number column.

    counts: how many in equal bins from the 1st to the 99th percentile; what lies outside is in the end bins.
    """

    smallest: float
    median: float
    mean: float
    largest: float
    counts: tuple[int, ...]


class ColumnProfile(Settings):
    """A column of a table.

    missing: rows without a value. unexpected: values that can hardly be meant, with examples: infinite or
    not a number inside a vector, placeholders such as "null", texts with blanks around them. distinct:
    different values (of all lists, for a multi_category), None for vectors. common: the most frequent
    values and how many rows have them. numbers: set for a number column with finite values.
    """

    table: TableName
    name: str
    kind: ColumnKind
    rows: int
    missing: int
    unexpected: int
    examples: tuple[str, ...] = ()
    distinct: int | None = None
    common: tuple[tuple[str, int], ...] = ()
    numbers: NumberSummary | None = None

    def to_record(self) -> dict[str, Any]:
        """Its figures under the names of `RECORD`; None where a kind does not have one."""
        numbers = self.numbers
        common = [value for value, _ in self.common]
        counted = (self.kind, self.rows, self.missing, self.unexpected, self.distinct)
        bounds = (None,) * 3 if numbers is None else (numbers.smallest, numbers.median, numbers.largest)
        return dict(zip(RECORD, (*counted, list(self.examples), common, *bounds), strict=True))


def profile_column(table: TableName, column: Column, values: ColumnOf) -> ColumnProfile:
    """The figures of one declared column of a clean table."""
    described = _number if column.kind == "number" else _vector if column.kind == "vector" else _words
    return described(table, column, values)


def _number(table: TableName, column: Column, values: ColumnOf) -> ColumnProfile:
    assert isinstance(values, Plain)
    array = values.values
    missing, infinite = int(np.isnan(array).sum()), np.isinf(array)
    finite = array[np.isfinite(array)]
    numbers = _numbers(finite) if len(finite) else None
    finite.sort()
    return ColumnProfile(
        table=table,
        name=column.name,
        kind=column.kind,
        rows=len(array),
        missing=missing,
        unexpected=int(infinite.sum()),
        examples=tuple(str(value) for value in np.unique(array[infinite])),
        distinct=int((finite[1:] != finite[:-1]).sum()) + min(len(finite), 1),
        numbers=numbers,
    )


def _numbers(finite: NDArray[np.float64]) -> NumberSummary:
    finite = np.clip(finite, -_HUGE, _HUGE)
    low, median, high = np.percentile(finite, [1, 50, 99])
    return NumberSummary(
        smallest=float(finite.min()),
        median=float(median),
        mean=float(finite.mean()),
        largest=float(finite.max()),
        counts=tuple(np.histogram(np.clip(finite, low, high), bins=BINS)[0].tolist()),
    )


def _vector(table: TableName, column: Column, values: ColumnOf) -> ColumnProfile:
    vectors = values.series()
    there = vectors[vectors.notna()]
    wrong = sum(not np.isfinite(vector).all() for vector in there)
    return ColumnProfile(
        table=table,
        name=column.name,
        kind=column.kind,
        rows=len(values),
        missing=len(values) - len(there),
        unexpected=wrong,
        examples=("a part is not finite",) if wrong else (),
    )


def _words(table: TableName, column: Column, values: ColumnOf) -> ColumnProfile:
    """Text, category, id, boolean; and multi_category, where the words of all lists count."""
    counts = word_counts(values)
    odd = [word for word in counts.index if word.lower() in _PLACEHOLDERS or word != word.strip()]
    return ColumnProfile(
        table=table,
        name=column.name,
        kind=column.kind,
        rows=len(values),
        missing=_missing(column.kind, values),
        unexpected=int(counts[odd].sum()),
        examples=tuple(odd[:3]),
        distinct=len(counts),
        common=tuple((str(word), int(n)) for word, n in counts.head(MOST_COMMON).items()),
    )


def _missing(kind: ColumnKind, values: ColumnOf) -> int:
    if isinstance(values, Coded):
        return int((values.codes < 0).sum())
    return int(missing(values.series(), kind).sum())


def word_counts(values: ColumnOf) -> pd.Series:
    """How many rows have each word, or how many lists, the most frequent first, equal ones in the order in
    which they appear; what is missing is left out."""
    if not isinstance(values, Coded):
        return pd.Series(list(chain.from_iterable(values.series())), dtype="str").value_counts()
    counts, first = counted_words(values.codes, len(values.values))
    there = np.flatnonzero(counts)
    there = there[np.argsort(first[there], kind="stable")]
    is_truth = isinstance(values.values.dtype, pd.BooleanDtype)
    names = (words(values.values, "values") if is_truth else values.values).iloc[there]
    return pd.Series(counts[there], index=pd.Index(names)).sort_values(ascending=False, kind="stable")


def counted_words(codes: NDArray[Any], n: int) -> tuple[Int64, Int64]:
    """The rows of each code, and the first of them: int64 [n] each."""
    counts, first = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for rows in blocks(len(codes)):
        part = codes[rows]
        part_counts = np.bincount(part[part >= 0], minlength=n)
        there = np.flatnonzero(part >= 0)
        where = there[counts[part[there]] == 0][::-1]
        first[part[where]] = where + rows.start
        counts += part_counts
    return counts, first
