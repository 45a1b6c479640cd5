"""An array whose length is known when its last part is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: The least room. What nobody wrote to takes no memory.
_LEAST = 1 << 12


class GrowingArray:
    """Parts of an array, end to end in one place.

    dtype: of the values. rows: how many are expected; more find room too.
    """

    def __init__(self, dtype: DTypeLike, rows: int = 0) -> None:
        self._values = np.empty(max(rows, _LEAST), dtype=dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, part: NDArray[Any]) -> None:
        """Behind the others. A part of another type makes all of the type that holds both."""
        if part.dtype != self._values.dtype:
            self._become(np.result_type(self._values.dtype, part.dtype))
        end = self._n + len(part)
        if end > len(self._values):
            longer = np.empty(max(end, len(self._values) * 3 // 2), dtype=self._values.dtype)
            longer[: self._n] = self._values[: self._n]
            self._values = longer
        self._values[self._n : end] = part
        self._n = end

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self._values.dtype

    def whole(self) -> NDArray[Any]:
        """All parts: a view."""
        return self._values[: self._n]

    def _become(self, dtype: DTypeLike) -> None:
        other = np.empty(len(self._values), dtype=dtype)
        other[: self._n] = self._values[: self._n]
        self._values = other
