"""Arrays of a file, mapped into memory, and whether their numbers are what they must be.

Compiled code reads where an array tells it to, and does not look whether that is inside: a wrong row number
is somebody else's memory, or the end of the process. So whatever compiled code indexes with is looked at
once, when it is loaded, in one pass over what was hashed just before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import BundleError

_BLOCK = 1 << 18  # numbers that stay in a core's cache from one look to the next


def mapped(path: Path, dtype: str, *shape: int | None) -> NDArray[Any]:
    """A `.npy` file, mapped and not read; read-only, no subclass.

    dtype: as NumPy writes it, "int32"; "str" for text of any width, "ids" for that,
        int64, or texts end to end (see `funnel.values.texts`), "number" for any kind of number.
    shape: the size of each dimension, None for any.

    Raises: BundleError when the file is missing, cut, holds objects, or an array of another type, byte order,
    shape or memory order.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is parsed as Python: anything may come of a damaged one
        raise BundleError(f"{path} cannot be read ({error}); build the bundle again") from error
    if not isinstance(array, np.ndarray):
        raise BundleError(f"{path} is no single array; build the bundle again")
    fits = len(shape) == array.ndim and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not (fits and _is(array.dtype, dtype) and array.flags.c_contiguous):
        order = "" if array.flags.c_contiguous else " in Fortran's order"
        wanted = [n if n is not None else "any" for n in shape]
        raise BundleError(
            f"{path} holds {array.dtype.str} {list(array.shape)}{order}; {dtype} {wanted} is expected: it is "
            "damaged, or not of this bundle"
        )
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view


def check_within(values: NDArray[Any], low: float, high: float, path: Path) -> None:
    """Raises: BundleError naming the first number that is not from low to high, which NaN is not."""
    flat = values.reshape(-1)
    for start, block in _blocks(flat):
        if not (low <= block.min() and block.max() <= high):
            at = start + int(np.argmin((block >= low) & (block <= high)))
            raise BundleError(
                f"{path}: number {at} is {flat[at].item()!r}; {low} to {high} is expected: it is damaged"
            )


def check_rows(values: NDArray[Any], n: int, path: Path) -> None:
    """Raises: BundleError naming the first that is not a row of a table of n rows."""
    check_within(values, 0, n - 1, path)


def check_offsets(offsets: NDArray[Any], total: int, path: Path) -> None:
    """Raises: BundleError unless they cut `total` values into lists: from 0 up to it, never falling."""
    if len(offsets) == 0 or (offsets[0], offsets[-1]) != (0, total):
        ends = "nothing" if len(offsets) == 0 else f"{offsets[0]} to {offsets[-1]}"
        raise BundleError(f"{path}: goes from {ends}; 0 to {total} is expected: it is damaged")
    check_rising(offsets, path)


def check_rising(values: NDArray[Any], path: Path, *, strictly: bool = False) -> None:
    """Raises: BundleError naming the first that is below the one before it, or equal where that is wrong."""
    for start, block in _blocks(values, overlap=1):
        good = block[:-1] < block[1:] if strictly else block[:-1] <= block[1:]
        if not good.all():
            at = start + int(np.argmin(good)) + 1
            above = "above" if strictly else "not below"
            raise BundleError(
                f"{path}: number {at} is {values[at].item()!r}; it must be {above} the one before it, "
                f"{values[at - 1].item()!r}: it is damaged"
            )


def _blocks(values: NDArray[Any], overlap: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, len(values), _BLOCK):
        yield start, values[start : start + _BLOCK + overlap]


def _is(array: np.dtype[Any], wanted: str) -> bool:
    """Of the machine's own byte order, which compiled code takes for granted."""
    if not array.isnative:
        return False
    if wanted == "number":
        return array.kind in "iuf"
    if wanted == "ids":
        return array.kind == "U" or array in (np.int64, np.uint8)
    return array.kind == "U" if wanted == "str" else array == np.dtype(wanted)
