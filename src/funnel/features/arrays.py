"""Arrays as the compiled code and the disk know them: plain, C order, never written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from funnel.values.arrays import mapped


def frozen(array: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A read-only view, C-contiguous, no subclass; a copy only where dtype or order must change, and the
    array itself where it is so already.

    Compiled code is specialised on whether an array may be written. What is fitted may be, what is mapped
    from a file may not: seen through this, both take the same code.
    """
    if type(array) is np.ndarray and array.flags.c_contiguous and (dtype is None or array.dtype == dtype):
        if not array.flags.writeable:
            return array
        view = array.view()
    else:
        view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.setflags(write=False)
    return view


def save_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    """Write `folder/name.npy`."""
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def load_array(folder: Path, name: str, dtype: str, *shape: int | None) -> NDArray[Any]:
    """Map `folder/name.npy` into memory. Raises BundleError, see `funnel.values.arrays.mapped`."""
    return mapped(folder / f"{name}.npy", dtype, *shape)
