"""Tables in other names and forms, converted: keys, times, lists, decimals, kinds of events."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.schema import KEYS, OPTIONAL, Column, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.values.missing import quoted
from funnel.values.numbers import numbers
from funnel.values.where import Where, row_of
from funnel.values.words import words

#: Keys whose absence in a row may be skipped; the others say what happened, and are never made up.
_SKIPPED = ("user_id", "item_id", "request_id", "time")
_PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_ZONE = re.compile(r":.*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_BRACKETS = {"[": "]", "{": "}", "(": ")"}

#: Keys that are numbers, beside the time.
_NUMBERS = ("position", "value")


def is_by_value(file: TableFile) -> bool:
    """Whether each value can be read without the others: no row is left out, and no time is in a form of
    which all must be."""
    return not (file.keep or file.skip_gaps or file.format) and file.zone == "UTC"


def in_our_names(
    frame: pd.DataFrame,
    file: TableFile,
    table: TableName,
    declared: Sequence[Column],
    notes: list[str],
    first: int = 0,
) -> pd.DataFrame:
    """The rows that `file` keeps, its keys by the names of `KEYS`, and its cells as lists and numbers.

    Numbers are those of keys too: times that are numbers, positions, values.

    first: the number of the first row in errors, where the frame is a part of a longer one.
    Raises: DataError naming a column that is not there, a row whose time cannot be read, or rows with
    decimals of two forms.
    """
    frame = _kept(frame, file, table, notes)
    frame = _renamed(frame, file, table)
    if file.skip_gaps:
        frame = _without_gaps(frame, table, notes)
    changed = {}
    if "time" in KEYS[table] and "time" in frame.columns:
        where = Where(f"{table}.{file.columns.get('time', 'time')}", first)
        changed["time"] = moments(frame["time"], file, where)
    for key in _NUMBERS:
        if key in KEYS[table] + OPTIONAL[table] and key in frame.columns:
            where = Where(f"{table}.{file.columns.get(key) or key}", first)
            changed[key] = in_our_decimals(frame[key], file.decimal, where)
    for column in declared:
        if column.name in frame.columns:
            where = Where(f"{table}.{column.name}", first)
            changed[column.name] = _cells(frame[column.name], column, file, where)
    return frame.assign(**changed)


def moments(column: pd.Series, file: TableFile, where: str) -> pd.Series:
    """Times as numbers of seconds, or as moments of UTC; a column that is either already stays as it is.

    Raises: DataError naming the first row that is not written as `file` says.
    """
    dated = pd.api.types.is_datetime64_any_dtype(column.dtype)
    if file.format is None:  # numbers, or ISO 8601, whose seconds may have either sign
        column = in_our_decimals(column, file.decimal, where)
    if file.unit != "seconds" and not dated:
        return numbers(column, where) / _PER_SECOND[file.unit]
    if file.format is None and file.zone == "UTC":
        return column
    dates = column if dated else _dates(column, file, where)
    if dates.dt.tz is not None:
        return dates
    # An hour that comes twice, when summer ends, is the first; one that is left out is the next.
    first = np.ones(len(dates), dtype=np.bool_)
    try:
        return dates.dt.tz_localize(file.zone, ambiguous=first, nonexistent="shift_forward")
    except (NotImplementedError, OverflowError, pd.errors.OutOfBoundsDatetime) as error:  # such as 9999-12-31
        row = int((dates.dt.year - 2000).abs().fillna(0).argmax())
        raise DataError(
            f"{where}, row {row_of(where, row)}, is {str(column.iloc[row])!r}: a moment from 1653 to 2286 is "
            "expected"
        ) from error


def _dates(column: pd.Series, file: TableFile, where: str) -> pd.Series:
    texts = column.astype("str")
    zoned = "%z" in file.format if file.format else texts.str.contains(_ZONE).fillna(True).all()
    form = file.format or "ISO8601"
    try:
        dates = pd.to_datetime(texts, format=form, errors="coerce", utc=bool(zoned))
    except ValueError as error:  # some with a zone, and some without
        raise DataError(f"{where} cannot be read as {form}: {error}") from error
    bad = (dates.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        expected = file.format or "an ISO 8601 date"
        raise DataError(
            f"{where}, row {row_of(where, row)}, is {quoted(column.iloc[row])}: {expected} is expected"
        )
    return dates


def split_cell(text: str, separator: str) -> list[str]:
    """The values inside one cell: without brackets around them, and without blanks and quotes around each.

    >>> split_cell("['drama', 'war']", ","), split_cell("0.1 0.7", " ")
    (['drama', 'war'], ['0.1', '0.7'])
    """
    text = text.strip()
    if (parsed := _json(text)) is not None:
        return parsed
    if text and _BRACKETS.get(text[0]) == text[-1]:
        text = text[1:-1]
    if '"' in text or "'" in text:
        parts = [_unquoted(value) for value in _quoted_parts(separator).finditer(text)]
    else:
        parts = text.split(None if separator == " " else separator)
    return [value for part in parts if (value := part.strip())]


def _json(text: str) -> list[str] | None:
    """A list of texts as JSON has it, whose escapes no other form has; None where it is none."""
    if not text.startswith('["'):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    return [text_value for value in values if (text_value := value.strip())]


@cache
def _quoted_parts(separator: str) -> re.Pattern[str]:
    """One value, which may stand in quotes, and may then hold the separator."""
    end = rf"\s*(?:{re.escape(separator)}|\Z)"
    return re.compile(
        rf"""\s*(?:"((?:[^"\\]|\\.)*)"{end}|'((?:[^'\\]|\\.)*)'{end}|([^{re.escape(separator)}]+))""",
        re.DOTALL,
    )


def _unquoted(match: re.Match[str]) -> str:
    double, single, plain = match.groups()
    quoted = double if double is not None else single
    return str(plain) if quoted is None else re.sub(r"\\(.)", r"\1", quoted)


def split_cells(column: pd.Series, separator: str) -> pd.Series:
    """Each text as the list of what is inside it; None where that is nothing."""
    values = [split_cell(text, separator) or None if isinstance(text, str) else text for text in column]
    return pd.Series(values, index=column.index, dtype=object)


def in_our_decimals(column: pd.Series, decimal: str, where: str) -> pd.Series:
    """Numbers as text, with a point before the fraction and nothing between thousands.

    No thousands begin with a zero of their own: `0,643` with a decimal point stays as it is, which is no
    number, and `0.643` with a decimal comma is the fraction that it can only be.
    Raises: DataError naming two rows in which the sign between thousands means one thing and the other.
    """
    if not isinstance(column.dtype, pd.StringDtype):
        return column
    group = "." if decimal == "," else ","
    if column.str.contains(group, regex=False).any():  # which takes a tenth of the time of what follows
        column = _without_groups(column, decimal, group, where)
    return column.str.replace(",", ".", regex=False) if decimal == "," else column


def _without_groups(column: pd.Series, decimal: str, group: str, where: str) -> pd.Series:
    thousands = _matching(column, rf"-?[1-9]\d{{0,2}}(\{group}\d{{3}})+(\{decimal}\d+)?")
    if not thousands.any():
        return column
    fractions = _matching(column, rf"-?\d*\{group}\d+") & ~thousands
    if fractions.any():
        fraction, thousand = int(fractions.argmax()), int(thousands.argmax())
        raise DataError(
            f"{where}, row {row_of(where, fraction)}, is {quoted(column.iloc[fraction])}, and row "
            f"{row_of(where, thousand)} is {quoted(column.iloc[thousand])}: {group!r} begins a fraction "
            f"in the one and, as the `decimal` of schema.json is {decimal!r}, stands between thousands in "
            f"the other; where it begins fractions in both, set `decimal` to {group!r}"
        )
    return column.mask(thousands, column.str.replace(group, "", regex=False))


def _matching(column: pd.Series, form: str) -> NDArray[np.bool_]:
    return column.str.fullmatch(rf"\s*{form}\s*").fillna(False).to_numpy(dtype=np.bool_)


def _cells(column: pd.Series, declared: Column, file: TableFile, where: str) -> pd.Series:
    separator = file.inside.get(declared.name)
    if separator is not None and declared.kind in ("multi_category", "vector"):
        return split_cells(column, separator)
    return in_our_decimals(column, file.decimal, where) if declared.kind == "number" else column


def _renamed(frame: pd.DataFrame, file: TableFile, table: TableName) -> pd.DataFrame:
    """The columns that hold keys, by the names of the keys; a column that only has the name of one is
    dropped.
    """
    ours = (*KEYS[table], *OPTIONAL[table])
    for key, name in file.columns.items():
        if key not in ours:
            raise DataError(f"{table} has no key {key!r}: schema.json may name {', '.join(ours)}")
        if name is not None and name not in frame.columns:
            have = ", ".join(map(str, frame.columns))
            raise DataError(
                f"{table} ({file.path}) has no column {name!r}, the {key} of schema.json: it has {have}"
            )
    keys = {name: key for key, name in file.columns.items() if name is not None}
    kept = [name for name in frame.columns if name in keys or name not in file.columns]
    return frame[kept].rename(columns=keys)


def _kept(frame: pd.DataFrame, file: TableFile, table: TableName, notes: list[str]) -> pd.DataFrame:
    for name, values in file.keep.items():
        if name not in frame.columns:
            raise DataError(f"{table} ({file.path}) has no column {name!r}, by which schema.json keeps rows")
        written = words(frame[name], f"{table}.{name}")
        rows = written.isin(words(pd.Series(values, dtype="str"), name)).to_numpy()
        if not rows.any() and len(rows):
            have = ", ".join(map(repr, written.value_counts().index[:10]))
            wanted = ", ".join(map(repr, values))
            raise DataError(f"{table}.{name} has none of {wanted}, which schema.json keeps: it has {have}")
        if not rows.all():
            left = f"{int((~rows).sum())} of {len(rows)} rows left out"
            notes.append(f"{table}: {left}, whose {name} is not {' or '.join(values)}")
            frame = frame[rows].reset_index(drop=True)
    return frame


def _without_gaps(frame: pd.DataFrame, table: TableName, notes: list[str]) -> pd.DataFrame:
    for key in _SKIPPED:
        if key not in KEYS[table] or key not in frame.columns:
            continue
        gaps = frame[key].isna().to_numpy()
        if gaps.any():
            notes.append(f"{table}: {int(gaps.sum())} of {len(gaps)} rows left out, without a {key}")
            frame = frame[~gaps].reset_index(drop=True)
    return frame
