"""Arrays as the compiled code and the disk know them: plain, C order, never written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import frozen
from funnel.values.arrays import mapped

__all__ = ["frozen", "load_array", "save_array", "wide"]


def wide(column: NDArray[Any]) -> NDArray[Any]:
    """A column of one number a row [n] as one of lists [n, 1]; one of lists as it is."""
    return column if column.ndim == 2 else column[:, None]


def save_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    """Write `folder/name.npy`."""
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def load_array(folder: Path, name: str, dtype: str, *shape: int | None) -> NDArray[Any]:
    """Map `folder/name.npy` into memory. Raises BundleError, see `funnel.values.arrays.mapped`."""
    return mapped(folder / f"{name}.npy", dtype, *shape)
