"""Values of categories and ids as text: one form, whatever the type of the value or of its column.

| value                          | in writing                                                   |
|--------------------------------|--------------------------------------------------------------|
| 3, 3.0, Decimal("3.00"), "3.0" | "3": beside a missing value, whole numbers become floats     |
| 1.5, Decimal("1.50")           | "1.5"                                                        |
| True, "True", "TRUE"           | "true"; likewise "false"                                     |
| a date at midnight, a moment   | "2024-05-01", "2024-05-01 10:30:00"                          |
| a UUID                         | as usual, in small letters                                   |
| None, NaN, NaT, "", infinity   | missing                                                      |

Any other text is itself: "007" is not "7".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.values.missing import is_missing, quoted
from funnel.values.text import whole
from funnel.values.where import row_of

#: Floating-point numbers from here on are not all different whole numbers any more.
EXACT = 2**53

#: Python does not write much longer whole numbers at all.
_MOST_BITS = 4_096

#: Where one text holds several values or numbers, as a CSV file must: "drama|war", "0.1|0.7".
SEPARATOR = "|"

_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0+$"
_WHOLE_TEXT = re.compile(_WHOLE)
_TRUTHS = r"(?i)true|false"
_CONTAINERS = (list, tuple, set, frozenset, dict, np.ndarray, bytes, bytearray, memoryview)


def word(value: Any, where: str, row: int | None = None) -> str | None:
    """One value as text; None where it is missing. where, row: name it in an error.

    Raises: DataError for a list or another container, for bytes, for half a character, and for a float of
    2**53 or more, which may have lost figures.

    >>> word(3.0, "items.stars"), word("True", "items.active"), word("007", "items.code")
    ('3', 'true', '007')
    """
    if isinstance(value, str):
        return _of_text(whole(value, where if row is None else f"{where}, row {row_of(where, row)},"))
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        if int(value).bit_length() > _MOST_BITS:
            raise _wrong(value, where, row, "a number of at most 4,096 bits is expected")
        return str(int(value))
    if isinstance(value, _CONTAINERS):
        raise _wrong(value, where, row, "one text or number a row is expected")
    if is_missing(value):
        return None
    if isinstance(value, float | np.floating | Decimal):
        return _of_fraction(value, where, row)
    value = pd.Timestamp(value) if isinstance(value, np.datetime64) else value
    return _of_date(value) if isinstance(value, date) else str(value)


def words(column: pd.Series, where: str) -> pd.Series:
    """A column as text, as pandas `str`; missing where a value is. Raises: see `word`."""
    if isinstance(column.dtype, pd.StringDtype):
        return _of_texts(column.reset_index(drop=True))
    if column.dtype == object:
        return texts([word(value, where, row) for row, value in enumerate(column)], where)
    codes, distinct = pd.factorize(column)
    first = np.zeros(len(distinct) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # the first row of each; −1 is the last entry
    written = [word(value, where, int(row)) for value, row in zip(distinct, first, strict=False)]
    return texts([*written, None], where).take(codes).reset_index(drop=True)


def texts(values: list[str | None], where: str) -> pd.Series:
    """As pandas `str`. Raises: DataError for a text with half a character, which no file can hold."""
    try:
        return pd.Series(values, dtype="str")
    except UnicodeEncodeError:
        row = next(row for row, value in enumerate(values) if value and not _is_whole(value))
        raise _wrong(values[row], where, row, "half of a character is no text") from None


def listed(value: Any, where: str, row: int | None = None) -> list[str]:
    """The distinct values of one list in their order, as text; a text is split at "|".

    Raises: see `word`.
    """
    parts: Iterable[Any] = (value,)
    if isinstance(value, str):
        parts = value.split(SEPARATOR)
    elif isinstance(value, set | frozenset):
        parts = sorted(value, key=str)
    elif isinstance(value, list | tuple | np.ndarray):
        parts = value
    written = (word(part, where, row) for part in parts)
    return list(dict.fromkeys(part for part in written if part))


def _of_text(value: str) -> str | None:
    if whole := _WHOLE_TEXT.match(value):
        return "0" if whole[1] == "-0" else whole[1]
    small = value.lower() if len(value) in (4, 5) else ""
    return small if small in ("true", "false") else value or None


def _of_texts(column: pd.Series) -> pd.Series:
    """The same of a column of texts: only what is written in another way is looked at one by one."""
    odd = column.str.fullmatch(_WHOLE).fillna(False) | column.str.fullmatch(_TRUTHS).fillna(False)
    rows = np.flatnonzero((odd | (column == "").fillna(False)).to_numpy(dtype=np.bool_))
    if len(rows):
        column = column.copy()
        column.iloc[rows] = [_of_text(value) for value in column.iloc[rows]]
    return column.astype("str")


def _of_fraction(value: float | np.floating[Any] | Decimal, where: str, row: int | None) -> str | None:
    if isinstance(value, Decimal):
        return _decimal(value)
    exact = float(value)
    if not np.isfinite(exact):
        return None
    if abs(exact) >= EXACT:
        raise _wrong(value, where, row, "a float of 2**53 or more loses figures: give whole numbers or texts")
    return str(int(exact)) if exact.is_integer() else str(value)


def _decimal(value: Decimal) -> str | None:
    if not value.is_finite() or value.adjusted() > 1000:
        return None
    written = format(value, "f")
    written = written.rstrip("0").rstrip(".") if "." in written else written
    return "0" if written == "-0" else written


def _of_date(value: date) -> str:
    written = value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return written.removesuffix(" 00:00:00")


def _is_whole(value: str) -> bool:
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def _wrong(value: Any, where: str, row: int | None, expected: str) -> DataError:
    at_row = "" if row is None else f" in row {row_of(where, row)}"
    return DataError(f"{where} holds {quoted(value)}{at_row}: {expected}")
