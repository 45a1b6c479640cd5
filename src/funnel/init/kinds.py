"""Guesses the kind of a column from its values, and where those leave it open, from its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columns import ColumnKind, convert
from funnel.data.foreign import in_our_decimals, split_cells
from funnel.errors import FunnelError
from funnel.init import names
from funnel.init.cells import Inside, list_inside, vector_inside
from funnel.init.findings import Sure
from funnel.init.times import find_moments, why_no_moments
from funnel.values.missing import quoted
from funnel.values.numbers import number

#: Values that are looked at one by one, evenly over the sample.
_LOOKED_AT = 2000
_TRUTHS = {"true", "false", "t", "f", "yes", "no"}
_ZERO_ONE = {"0", "1", "0.0", "1.0"}
_MONEY = re.compile(r"[€$£¥]\s?-?[\d.,]+|-?[\d.,]+\s?([€$£¥%]|EUR|USD|GBP|PLN)")
_MOMENTS = "moments: no kind of column takes them; a number, such as the age in days, would do"
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|[^@\s]+@[^@\s]+\.[a-z]+", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """A column's kind; None where no kind fits.

    why: the reason. size: of vectors. inside: what separates several values in a cell.
    """

    kind: ColumnKind | None
    why: str
    sure: Sure = "likely"
    size: int | None = None
    inside: str | None = None


def _no(why: str) -> Kind:
    return Kind(None, why)


def find_kind(name: str, column: pd.Series, decimal: str) -> Kind:
    """The kind as which the reader accepts all sampled values. decimal: the sign of fractions."""
    present = column.dropna()
    if len(present) and isinstance(column.dtype, pd.StringDtype):
        present = present[present.str.strip() != ""]
    if not len(present):
        return _no("no value in any row that was looked at")
    if len(column) == len(present) > 1 and present.dtype != object and present.nunique() == 1:
        return _no(f"{quoted(present.iloc[0])} in every row that was looked at: it tells none from another")
    some = present.iloc[np.linspace(0, len(present) - 1, min(len(present), _LOOKED_AT)).astype(int)]
    result = _of_texts(name, some, present, decimal) if _is_text(present) else _of_types(name, present)
    return result if result.kind is None else _checked(result, present, decimal)


def _checked(result: Kind, present: pd.Series, decimal: str) -> Kind:
    """The kind, if the reader accepts the sample as it."""
    kind: Any = result.kind
    try:
        values = split_cells(present, result.inside) if result.inside else present
        values = in_our_decimals(values, decimal, "it") if kind == "number" else values
        convert(values, kind, result.size, "it")
    except FunnelError as error:
        return _no(str(error).removeprefix("it "))
    return result


def _is_text(present: pd.Series) -> bool:
    if isinstance(present.dtype, pd.StringDtype):
        return True
    return present.dtype == object and isinstance(present.iloc[0], str)


def _of_types(name: str, present: pd.Series) -> Kind:
    """The kind of a column of a file with types."""
    dtype, first = present.dtype, present.iloc[0]
    if pd.api.types.is_bool_dtype(dtype):
        return Kind("boolean", "truth values, by the file's type", "certain")
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return _no(_MOMENTS)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return Kind("number", "lengths of time, by the file's type", "certain")
    if isinstance(first, list | tuple | np.ndarray):
        return _of_lists(present)
    if pd.api.types.is_numeric_dtype(dtype) or isinstance(first, Decimal):
        return _of_numbers(name, present.astype("float64"), present.astype("str"))
    if isinstance(first, date):
        return _no(_MOMENTS)
    if isinstance(first, dict | bytes):
        return _no(f"values of the type {type(first).__name__}: one text or number a row is expected")
    return Kind("category", f"values of the type {type(first).__name__}", "unsure")


def _of_lists(present: pd.Series) -> Kind:
    sizes = present.map(len)
    filled = [value for cell in present.iloc[:200] for value in cell]
    if filled and all(isinstance(value, float | np.floating) for value in filled):
        size = int(sizes.mode().iloc[0])
        if odd := int((sizes != size).sum()):
            return _no(f"lists of numbers of different lengths: {odd} of {len(present)} do not have {size}")
        return Kind("vector", f"lists of {size} numbers", "certain", size)
    return Kind("multi_category", "lists, by the file's type", "certain")


def _of_texts(name: str, some: pd.Series, present: pd.Series, decimal: str) -> Kind:
    texts = some.astype("str").str.strip()
    small = set(present.astype("str").str.strip().str.lower().unique()[:10])
    if small <= _TRUTHS:
        return Kind("boolean", f"only {', '.join(sorted(small))}", "likely" if len(small) > 1 else "unsure")
    if small == {"0", "1"} or (len(small) == 2 and small <= _ZERO_ONE):
        return Kind("boolean", "only 0 and 1", "likely")
    if (vector := vector_inside(texts)) is not None:
        return _of_vector(vector, len(texts))
    numbers = _numbers(texts, decimal)
    if not np.isnan(numbers).any():
        if find_moments(texts) is not None and names.exact("time", name):
            return _no(_MOMENTS)
        return _of_numbers(name, pd.Series(numbers), texts)
    if find_moments(texts) is not None:
        return _no(_MOMENTS)
    if why := why_no_moments(texts):
        return _no(why)
    if texts.str.fullmatch(_MONEY).mean() > 0.9:
        return _no(f"numbers with a sign or a unit, such as {texts.iloc[0]!r:.30}: write the number alone")
    if (several := list_inside(texts)) is not None:
        return Kind("multi_category", several.why, "likely", inside=several.separator)
    return _of_words(texts, present)


def _of_vector(vector: Inside, looked: int) -> Kind:
    if vector.odd:
        return _no(
            f"vectors of different lengths: {vector.odd} of {looked} do not have {vector.size} numbers"
        )
    return Kind("vector", vector.why, "likely", vector.size, vector.separator)


def _of_numbers(name: str, numbers: pd.Series, written: pd.Series) -> Kind:
    whole = bool((numbers % 1 == 0).all())
    distinct, n = numbers.nunique(), len(numbers)
    if written.str.match(r"-?0\d").any():
        return Kind("category", "figures with zeros in front: codes", "likely")
    if whole and names.is_key_word(name):
        return _no_key(distinct, n) or Kind(
            "category", "whole numbers that the name says are codes", "likely"
        )
    if whole and n > 20 and distinct == n and written.str.len().nunique() == 1 and numbers.min() >= 10**7:
        return _no("a number of its own in each row, as ids are: it says nothing of others")
    return Kind("number", f"numbers from {numbers.min():g} to {numbers.max():g}", "likely")


def _no_key(distinct: int, n: int) -> Kind | None:
    return (
        _no("an id of its own in each row: it says nothing of others")
        if n > 20 and distinct > 0.9 * n
        else None
    )


def _of_words(texts: pd.Series, present: pd.Series) -> Kind:
    distinct, n = texts.nunique(), len(texts)
    length = texts.str.split().map(len).mean()
    if texts.str.fullmatch(_ADDRESS).mean() > 0.9:
        return _no("addresses: they say nothing of what is behind them")
    if n > 20 and distinct > 0.9 * n and length < 1.5:
        return _no("a word of its own in each row, as ids are: it says nothing of others")
    if length >= 2 and distinct > max(0.3 * n, 20):
        return Kind("text", f"{length:.0f} words in the mean, {distinct} different in {n}", "likely")
    if length >= 2 and n <= 20 and distinct > 0.7 * n:
        return Kind("text", f"{length:.0f} words in the mean, in few rows", "unsure")
    sure: Sure = "likely" if distinct <= 0.2 * n or distinct <= 20 else "unsure"
    return Kind("category", f"{distinct} different values in {n} rows", sure)


def _numbers(texts: pd.Series, decimal: str) -> Any:
    """float64, NaN where a text is no number; a gap in writing was taken out before."""
    out = np.full(len(texts), np.nan)
    try:
        for row, text in enumerate(in_our_decimals(texts, decimal, "it")):
            out[row] = number(text)
    except (ValueError, FunnelError):
        pass  # whatever else it is, a column of numbers it is not
    return out


def find_decimal(frame: pd.DataFrame, separator: str) -> str:
    """A comma where a column has numbers such as 12,50 and none has 12.50.

    Where commas separate the fields, two figures behind it are asked for: 1,2 is then rather a list. There,
    and beside 12.50, it is also one where a column has 0,643, whose comma cannot stand between thousands, as
    long as no point would be taken to stand there: 12.500.
    """
    texts = [frame[name].dropna().iloc[:_LOOKED_AT].astype("str") for name in frame]
    pointed = [text for text in texts if _are_numbers(text)]
    fraction = r"(,\d{2})" if separator == "," else r"(,\d+)?"
    comma = rf"-?(\d+|\d{{1,3}}(\.\d{{3}})+){fraction}"
    has_comma = any(_has(text, ",") and text.str.fullmatch(comma).all() for text in texts)
    if has_comma and not any(_has(text, r"\.(?:\d{1,2}|\d{4,})$") for text in pointed):
        return ","
    sure = any(map(_has_comma_for_sure, texts)) and not any(_has(text, r"\.\d{3}$") for text in pointed)
    return "," if sure else "."


def _has_comma_for_sure(texts: pd.Series) -> bool:
    """Whether all have a comma with two or three figures behind it, and some a bare zero in front."""
    return _has(texts, r"^-?0,") and bool(texts.str.fullmatch(r"-?\d+,\d{2,3}").all())


def _has(texts: pd.Series, form: str) -> bool:
    return bool(texts.str.contains(form).any())


def _are_numbers(texts: pd.Series) -> bool:
    return len(texts) > 0 and bool(texts.str.fullmatch(r"-?\d+(\.\d+)?").all())
