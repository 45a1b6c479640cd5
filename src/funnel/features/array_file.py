"""Arrays that are written to a `.npy` file part by part, and mapped when they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from funnel.values.arrays import mapped


class ArrayParts(Protocol):
    """Where parts of an array go, one behind the other."""

    def add(self, part: NDArray[Any]) -> None:
        """Behind the others."""
        ...

    def whole(self) -> NDArray[Any]:
        """All of them, read-only. Called once."""
        ...


class PartsInMemory:
    """In memory: a part is let go as it is copied, so that there is never twice the whole."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._parts: list[NDArray[Any]] = []

    def add(self, part: NDArray[Any]) -> None:
        """See `ArrayParts`."""
        self._parts.append(part)

    def whole(self) -> NDArray[Any]:
        """See `ArrayParts`."""
        whole = np.empty(sum(map(len, self._parts)), dtype=self._dtype)
        end = len(whole)
        while self._parts:
            part = self._parts.pop()
            whole[end - len(part) : end] = part
            end -= len(part)
        whole.flags.writeable = False
        return whole


class PartsInFile:
    """In a file, which a `numpy.load` can map. Raises: OSError where there is no room."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._path, self._dtype, self._n = path, np.dtype(dtype), 0
        self._file = path.open("wb")
        self._header()

    def add(self, part: NDArray[Any]) -> None:
        """See `ArrayParts`."""
        self._file.write(np.ascontiguousarray(part, dtype=self._dtype).data)
        self._n += len(part)

    def whole(self) -> NDArray[Any]:
        """See `ArrayParts`."""
        self._file.seek(0)
        self._header()  # of the same length: it has room for any number
        self._file.close()
        return mapped(self._path, self._dtype.name, None)

    def _header(self) -> None:
        about = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._n,)}
        npy.write_array_header_1_0(self._file, about)


def parts(folder: Path | None, name: str, dtype: DTypeLike) -> ArrayParts:
    """Of `folder/name.npy`; in memory where there is no folder."""
    return PartsInMemory(dtype) if folder is None else PartsInFile(folder / f"{name}.npy", dtype)
