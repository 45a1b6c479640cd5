"""Recognises moments in a column, and their unit or format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from funnel.init.findings import Sure
from funnel.values.missing import quoted

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?")
_LIKE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?([T ].*)?|\d\d?[-/.]\d\d?[-/.]\d{4}([T ,].*)?")
_OF_DAY = re.compile(r"\d?\d:\d\d(:\d\d(\.\d+)?)?( ?[AaPp]\.?[Mm]\.?)?")
_ZONE = re.compile(r"(?:Z|[+-]\d\d(?::?\d\d)?)$")

#: Seconds since 1970 for 1990 and 2100: numbers outside are no moments, or have another unit.
_FROM, _TO = 631_152_000, 4_102_444_800
_UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}

_HOURS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_CLOCKS = ("", *(f"{between}{hour}" for between in (" ", ", ") for hour in _HOURS))
_DAYS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%d/%m/%y",
    "%m/%d/%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d %Y",
    "%B %d, %Y",
)  # fmt: skip
_OTHERS = (
    "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S.%f UTC", "%Y-%m-%d %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%Y%m%d", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S%z",
)  # fmt: skip
_FORMATS = tuple(day + clock for day in _DAYS for clock in _CLOCKS) + _OTHERS

#: Figures of the shortest moment in any of them, such as 1.2.26.
_FEWEST = 4

#: So many values that look like moments say that the others should be ones too.
_MOST_LIKE = 0.9


@dataclass(frozen=True)
class Moments:
    """How the moments of a column are written. form: options of a `TableFile`. seconds: of the sample."""

    form: dict[str, Any]
    why: str
    sure: Sure
    seconds: pd.Series = field(repr=False)


def is_moment_like(text: str) -> bool:
    """Whether a text looks like a date, in whatever order of its parts."""
    return bool(_LIKE.fullmatch(text.strip()))


def are_times_of_day(column: pd.Series) -> bool:
    """Whether all values are times of a day, such as 14:03:22, and of none in particular."""
    present = column.dropna()
    if not len(present) or not (present.dtype == object or isinstance(present.dtype, pd.StringDtype)):
        return False
    return bool(present.astype("str").str.strip().str.fullmatch(_OF_DAY).all())


def why_no_moments(texts: pd.Series) -> str | None:
    """What keeps texts without a gap from being moments in one form; None where most do not look like any."""
    like = texts.map(is_moment_like)
    if not len(texts) or like.mean() < _MOST_LIKE:
        return None
    shapes = texts.str.replace(r"\d+", "0", regex=True)
    usual = shapes == shapes[like].mode().iloc[0]
    examples = [some.iloc[0] for some in (texts[usual], texts[~like], texts[~usual]) if len(some)][:2]
    which = " and ".join(map(quoted, examples))
    return (
        f"moments that are not all of one form, such as {which}: write them alike, or name gaps in `missing`"
    )


def day(seconds: float) -> str:
    """The day of a moment, of any year.

    >>> day(0.0), day(-62_135_596_800.0)
    ('1970-01-01', '0001-01-01')
    """
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))


def find_moments(column: pd.Series) -> Moments | None:
    """How the moments in a column are written; None where its values are no moments."""
    present = column.dropna()
    if not len(present):
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        zone = column.dt.tz is not None
        why = "the file's own type" + ("" if zone else ", without a zone: UTC")
        return Moments({}, why, "certain" if zone else "likely", _since_1970(present))
    if pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _of_numbers(present.astype("float64"), present)
    texts = present.astype("str").str.strip()
    if texts.str.fullmatch(_ISO).all():
        return _of_iso(texts)
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return _of_numbers(numbers.astype("float64"), texts)
    return _of_format(texts)


def _of_iso(texts: pd.Series) -> Moments | None:
    try:
        seconds = _since_1970(pd.to_datetime(texts, utc=True, format="ISO8601"))
    except (ValueError, OverflowError):
        return None
    zoned = texts.str.contains(_ZONE).mean() if texts.str.contains(":").any() else 0.0
    if zoned == 1:
        return Moments({}, "ISO 8601 with a zone", "certain", seconds)
    what = "ISO 8601 days" if texts.str.len().max() == 10 else "ISO 8601 without a zone"
    return Moments({}, f"{what}: taken as UTC, else set `zone`", "likely", seconds)


def _of_numbers(numbers: pd.Series, written: pd.Series) -> Moments | None:
    for unit, size in _UNITS.items():
        seconds = numbers / size
        if ((seconds >= _FROM) & (seconds <= _TO)).mean() >= 0.99 and (seconds > 0).all():
            form = {} if unit == "seconds" else {"unit": unit}
            why = f"numbers that are {unit} from {day(seconds.min())} to {day(seconds.max())}"
            return Moments(form, why, "likely", seconds)
    if (numbers % 1 == 0).all() and numbers.min() >= 19_000_000:  # 20260131, 20260131235959
        return _of_format(written.astype("str").str.removesuffix(".0"))
    return None


def _of_format(texts: pd.Series) -> Moments | None:
    """The format that all values have; of several, the one in which the dates lie closest together."""
    first, fitting = texts.iloc[:20], []
    if (first.str.count(r"\d") < _FEWEST).any():
        return None
    for format in _FORMATS:
        if not _fits(first, format) or (dates := _parsed(texts, format)) is None:
            continue
        seconds = _since_1970(dates)
        fitting.append((float(seconds.max() - seconds.min()), format, seconds))
    if not fitting:
        return None
    fitting.sort(key=lambda fit: fit[0])
    _, format, seconds = fitting[0]
    others = [other for _, other, _ in fitting[1:]]
    why = f"all are {format}, from {day(seconds.min())} to {day(seconds.max())}"
    if others:
        why += f"; {others[0]} would fit as well, with dates further apart"
    return Moments({"format": format}, why, "unsure" if others else "likely", seconds)


def _fits(texts: pd.Series, format: str) -> bool:
    return _parsed(texts, format) is not None


def _parsed(texts: pd.Series, format: str) -> pd.Series | None:
    try:
        return pd.to_datetime(texts, format=format, utc="%z" in format)
    except (ValueError, OverflowError):
        return None


def _since_1970(dates: pd.Series) -> pd.Series:
    aware = dates.dt.tz_localize("UTC") if dates.dt.tz is None else dates
    epoch = pd.Timestamp(0, tz="UTC").as_unit(aware.dt.unit)  # in nanoseconds, 9999 is out of bounds
    return (aware - epoch).dt.total_seconds() // 1
