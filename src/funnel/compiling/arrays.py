"""Arrays in the forms that compiled code is made for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def frozen(array: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A read-only view, C-contiguous, no subclass; a copy only where dtype or order must change, and the
    array itself where it is so already.

    Compiled code is specialised on whether an array may be written. What is fitted may be, what is mapped
    from a file may not: seen through this, both take the same code. Freeze what many kernels take once.
    """
    plain = type(array) is np.ndarray and array.flags.c_contiguous and (dtype is None or array.dtype == dtype)
    if plain and not array.flags.writeable:
        return array
    view = array.view() if plain else np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def plain(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Arrays that were made a moment ago, in C order and not read-only; where any is not, all are copied.

    The other way to have one compilation for all: what a request makes has this form by itself, and costs
    nothing but the look.
    """
    for array in arrays:
        if not array.flags.carray:
            return tuple([np.array(array, order="C") for array in arrays])
    return arrays
