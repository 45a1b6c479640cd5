"""Arrays as the compiled code and the disk know them: plain, C order, never written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from funnel.errors import BundleError


def frozen(array: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """A read-only view, C-contiguous, no subclass; a copy only where dtype or order must change.

    Compiled code is specialised on whether an array may be written. What is fitted may be, what is mapped
    from a file may not: seen through this, both take the same code.
    """
    view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def save_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    """Write `folder/name.npy`."""
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def load_array(folder: Path, name: str) -> NDArray[Any]:
    """Map `folder/name.npy` into memory. Raises BundleError when it is missing or not an array."""
    path = folder / f"{name}.npy"
    try:
        return frozen(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise BundleError(f"{path} cannot be read ({error}); build the bundle again") from error
