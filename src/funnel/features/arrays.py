"""Arrays as the compiled code and the disk know them: plain, C order, never written to."""

from __future__ import annotations

from collections.abc import Sequence
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


def save_texts(folder: Path, name: str, texts: Sequence[str]) -> None:
    """Write `folder/name.npy`, the texts end to end in UTF-8, and `folder/name.ends.npy`, where each ends.

    An array of texts gives each the room of the longest.
    """
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    save_array(folder, name, np.frombuffer(b"".join(parts), dtype=np.uint8))
    save_array(folder, f"{name}.ends", np.cumsum([len(part) for part in parts], dtype=np.int64))


def load_texts(folder: Path, name: str) -> list[str]:
    """What `save_texts` wrote, or an array of texts, as earlier versions did.

    Raises BundleError when a file is missing or damaged.
    """
    array = load_array(folder, name)
    if array.dtype.kind == "U":
        return [str(text) for text in array]
    ends, whole = load_array(folder, f"{name}.ends").tolist(), array.tobytes()
    if sorted(ends) != ends or (ends[-1] if ends else 0) != len(whole) or (ends and ends[0] < 0):
        raise BundleError(f"{folder / name}.npy and its ends do not belong together; build the bundle again")
    try:
        return [
            whole[first:end].decode("utf-8", "surrogatepass")
            for first, end in zip([0, *ends], ends, strict=False)
        ]
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / name}.npy is damaged ({error}); build the bundle again") from error
