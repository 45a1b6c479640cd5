"""Checks of the arguments of an index."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funnel.allow import Allow
from funnel.errors import DataError, FunnelError
from funnel.types import Float32
from funnel.vectors import ItemVectors

_BLOCK = 65_536


def plain(vectors: Any) -> ItemVectors:
    """The vectors as they are, or numbers [n, d] as float32 in C order; a memory map is not read.

    Raises: DataError when they are not a matrix of numbers.
    """
    if isinstance(vectors, ItemVectors):
        return vectors
    try:
        array = np.asarray(np.ascontiguousarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"vectors must be numbers, one row an item: {error}") from error
    if np.ndim(vectors) != 2 or array.shape[1] == 0:
        raise DataError(f"vectors must be a matrix [n, d] with d ≥ 1, not of shape {np.shape(vectors)}")
    return ItemVectors.of(array)


def finite(vectors: ItemVectors) -> ItemVectors:
    """The vectors [n, d], all of whose numbers are finite. Raises: DataError that names the first bad row."""
    for start in range(0, len(vectors), _BLOCK):
        good = np.isfinite(vectors[start : start + _BLOCK]).all(axis=1)
        if not good.all():
            row = start + int(np.argmin(good))
            raise DataError(
                f"the vector of item row {row} has a NaN or an infinite number; all must be finite"
            )
    return vectors


def checked_queries(queries: Any, dimension: int) -> Float32:
    """Queries as a C-ordered float32 array [B, d].

    Raises: FunnelError when they are not finite numbers or not of the index's dimension.
    """
    array = queries
    if not (type(queries) is np.ndarray and queries.dtype == np.float32 and queries.flags.c_contiguous):
        try:
            array = np.asarray(np.ascontiguousarray(queries, dtype=np.float32))
        except (TypeError, ValueError) as error:
            raise FunnelError(f"queries must be numbers, one row a query: {error}") from error
    if array.ndim != 2 or array.shape[1] != dimension:
        raise FunnelError(f"queries have shape {np.shape(queries)}; this index takes [batch, {dimension}]")
    if not np.isfinite(array).all():
        good = np.isfinite(array).all(axis=1)
        raise FunnelError(f"query {int(np.argmin(good))} has a NaN or an infinite number; all must be finite")
    return array


def checked_allow(allow: Allow, batch: int, size: int) -> Allow:
    """The same. Raises: FunnelError when it is not for `batch` queries and `size` items."""
    if (len(allow), allow.n_items) != (batch, size):
        raise FunnelError(
            f"allow is for {len(allow)} queries and {allow.n_items} items; "
            f"here are {batch} queries and {size} items"
        )
    return allow


def at_least_one(name: str, value: Any) -> int:
    """A whole number of at least 1. Raises: FunnelError that says what `name` was."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool | np.bool_):
        raise FunnelError(f"{name} is {value!r}; it must be a whole number of at least 1")
    return number
