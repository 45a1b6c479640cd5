"""Ids, as int64 or as text, and the text form of an id."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.values.missing import quoted
from funnel.values.where import GapError, row_of
from funnel.values.words import word, words

_NUMBERS = (int, float, np.integer, np.floating, Decimal)
INT64 = np.iinfo(np.int64)

#: How an integer is written: no sign but minus, no zeros in front, so that "007" stays a text.
_INTEGER = r"0|-?[1-9][0-9]{0,18}"
_WRITTEN_INTEGER = re.compile(_INTEGER)


def written(value: Any) -> str | None:
    """An id as text: the same for 7, 7.0, Decimal(7), "7" and "7.0"; None where a value cannot be one.

    What is missing, truth values, bytes, containers, and floats of 2**53 or more are no ids.
    """
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return word(value, "id")
    except DataError:
        return None


def digest(user: str) -> str:
    """What is kept of an id that is to be forgotten: enough to tell it when it comes."""
    return hashlib.blake2b(user.encode(), digest_size=16).hexdigest()


def integer(text: str) -> int | None:
    """The number that a text writes, where that is the usual way to write it and it has 64 bits."""
    if not _WRITTEN_INTEGER.fullmatch(text):
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


def as_ids(column: pd.Series, where: str) -> pd.Series:
    """Ids as int64 where all of them are whole numbers of 64 bits, else as text (see `words`).

    Whole numbers of any type count, as floats and decimals too; texts of figures stay texts.
    Raises: DataError naming the first row without an id, or with one that cannot be: a truth value, a
    container, bytes, a float of 2**53 or more.
    """
    gaps = column.isna().to_numpy()
    if gaps.any():
        raise GapError(
            lambda gaps, rows, first: f"{where} has no id in {gaps} rows (the first is row {first})",
            int(gaps.sum()),
            len(gaps),
            row_of(where, int(gaps.argmax())),
        )
    _no_truths(column, where)
    if pd.api.types.is_integer_dtype(column.dtype) and (not len(column) or column.max() <= INT64.max):
        return pd.Series(column.to_numpy(dtype=np.int64))
    texts = words(column, where)
    empty = texts.isna().to_numpy()
    if empty.any():
        row = int(empty.argmax())
        what = "an empty text" if isinstance(column.iloc[row], str) else quoted(column.iloc[row])
        raise DataError(f"{where} is {what} in row {row_of(where, row)}: an id is expected")
    return texts if _has_text(column) else written_integers(texts)


def written_integers(column: pd.Series) -> pd.Series:
    """A column of text as int64 where every value is an integer as it is usually written; else unchanged."""
    if not len(column) or column.isna().any() or not column.str.fullmatch(_INTEGER).all():
        return column
    try:
        return column.astype("int64")
    except (ValueError, OverflowError):  # beyond 64 bits
        return column


def same_type(*columns: pd.Series) -> list[pd.Series]:
    """Ids of several tables made comparable: all int64, or all text when one of them is."""
    if all(pd.api.types.is_integer_dtype(column.dtype) for column in columns if len(column)):
        return [column.astype("int64") for column in columns]
    return [column.astype("str") for column in columns]


def _no_truths(column: pd.Series, where: str) -> None:
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"{where} holds truth values: ids are whole numbers or texts")
    if column.dtype != object:
        return
    row = next((row for row, value in enumerate(column) if isinstance(value, bool | np.bool_)), None)
    if row is not None:
        raise DataError(
            f"{where} is {quoted(column.iloc[row])} in row {row_of(where, row)}: ids are "
            "whole numbers or texts"
        )


def _has_text(column: pd.Series) -> bool:
    """Whether a value is a text by its type."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _has_text(column.cat.categories.to_series())
    if isinstance(column.dtype, pd.StringDtype):
        return True
    return column.dtype == object and any(not isinstance(value, _NUMBERS) for value in column)
