"""Where numbers lie in a rising array of numbers, exactly: of any size, whole or not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.condition import Cut, Number
from funnel.distinct import distinct
from funnel.types import Int64

#: Starts and ends of stretches of an array, each int64 [n].
Stretches: TypeAlias = tuple[Int64, Int64]


def below(rising: NDArray[Any], cut: Cut) -> int:
    """How many of the numbers are below a cut."""
    key, behind = (_whole if rising.dtype.kind in "iu" else _near)(cut, rising.dtype)
    return len(rising) if key is None else int(rising.searchsorted(key, "right" if behind else "left"))


def equal(rising: NDArray[Any], wanted: Iterable[Number]) -> Stretches:
    """The stretches that are equal to one of these numbers; those that are empty are left out."""
    if rising.dtype.kind in "iu":
        info = np.iinfo(rising.dtype)
        inside = [
            int(number) for number in wanted if info.min <= number <= info.max and number == int(number)
        ]
        keys = np.array(inside, dtype=rising.dtype)
    else:
        with np.errstate(over="ignore"):
            keys = np.array([float(number) for number in wanted if _is_float(number)]).astype(rising.dtype)
    keys = distinct(keys)
    starts, stops = rising.searchsorted(keys, "left"), rising.searchsorted(keys, "right")
    there = starts < stops
    return starts[there].astype(np.int64), stops[there].astype(np.int64)


def inside(stretches: Stretches) -> Int64:
    """Every position within the stretches, one after another: int64 [total]."""
    starts, stops = stretches
    lengths = stops - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _whole(cut: Cut, dtype: np.dtype[Any]) -> tuple[Any, bool]:
    """The cut as one at a whole number; None for one above all that the type holds."""
    info = np.iinfo(dtype)
    if cut.at > info.max:
        return None, True
    if cut.at < info.min:
        return dtype.type(info.min), False
    whole = math.floor(cut.at)
    return dtype.type(whole), cut.behind or whole != cut.at


def _near(cut: Cut, dtype: np.dtype[Any]) -> tuple[Any, bool]:
    """The cut as one at the float that is nearest: behind it where that is below, before it where above."""
    try:
        near = float(cut.at)
    except OverflowError:
        near = math.copysign(math.inf, cut.at > 0 or -1)
    with np.errstate(over="ignore"):
        key = dtype.type(near)
    if math.isinf(key) and not _is_infinite(cut.at):
        return key, key < 0
    return key, cut.behind if near == cut.at else near < cut.at


def _is_float(number: Number) -> bool:
    """Whether a number is one of the floats, exactly."""
    try:
        return float(number) == number
    except OverflowError:
        return False


def _is_infinite(number: Number) -> bool:
    return isinstance(number, float) and math.isinf(number)
