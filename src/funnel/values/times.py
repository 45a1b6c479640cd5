"""Moments, as whole seconds since 1970."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.values.shown import shown
from funnel.values.where import row_of

if TYPE_CHECKING:
    from funnel.types import Int64

#: Seconds of a moment are below this (the year 2286). Larger numbers are another unit of time: today is
#: 1.8e9 in seconds, 1.8e12 in milliseconds, 1.8e15 in microseconds, 1.8e18 in nanoseconds.
END_OF_SECONDS = 10_000_000_000

#: Seconds that a moment may be ahead of our clock: two machines are never quite of one time.
AHEAD = 600

_UNITS = ((10**13, "milliseconds", 10**3), (10**16, "microseconds", 10**6), (10**19, "nanoseconds", 10**9))


def seconds(value: Any, what: str) -> int:
    """A moment as whole seconds since 1970; parts of a second are cut off.

    what: names the value in an error, such as "time" or "event 3: time".

    Raises: DataError for what is no number, is not finite, or is a number of another unit, which is named.

    >>> seconds(1_700_000_000.5, "time")
    1700000000
    """
    whole = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    # A whole number is finite; for one beyond all floats `isfinite` raises.
    if not whole or not (isinstance(value, int) or math.isfinite(value)):
        raise DataError(f"{what} is {shown(value)}: seconds since 1970 are expected")
    if abs(value) >= END_OF_SECONDS:
        raise DataError(f"{what} is {shown(value)}: {_instead(abs(int(value)))}")
    return int(value)


def check_seconds(values: NDArray[Any], what: str) -> Int64:
    """A column of moments, as whole seconds: int64 [n]. See `seconds`.

    Raises: DataError naming the first row that is none, its value and its unit.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} is of type {values.dtype}: seconds since 1970 are expected")
    wrong = ~np.isfinite(values) | ~(abs(values.astype(np.float64)) < END_OF_SECONDS)
    if wrong.any():
        row = int(wrong.argmax())
        seconds(values[row].item(), f"{what}, row {row_of(what, row)},")
    return values.astype(np.int64)


def _instead(size: int) -> str:
    """What a number that is too large for seconds probably is."""
    for bound, unit, per_second in _UNITS:
        if size < bound * 10:
            moment = datetime.fromtimestamp(min(size // per_second, END_OF_SECONDS), UTC)
            return (
                f"these look like {unit} ({moment:%Y-%m-%d}); seconds since 1970 are expected, "
                f"so divide by {per_second:,}"
            )
    return "seconds since 1970 are expected"
