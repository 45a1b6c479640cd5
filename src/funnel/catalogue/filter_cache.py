"""The bitmaps of the conditions that were used last."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.condition import Condition


class CachedBitmap(NamedTuple):
    """A bitmap. version: of the catalogue that it was made from, where that changes."""

    bits: NDArray[np.uint64]
    version: int
    nbytes: int


class FilterCache:
    """Bitmaps by condition, those used last, within so many bytes: filters come again. Thread-safe.

    Bytes are those of the bitmaps and of the conditions, which may be long lists of values. A condition that
    takes more than an eighth of all is not kept, so that one long list does not drive everything out.
    A process that was forked begins with an empty one: it may have been forked in the middle of a change.
    """

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self.most_bytes = most_bytes
        self._begin()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return self._nbytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, condition: Condition) -> CachedBitmap | None:
        """The bitmap of a condition, None where it is not kept."""
        with self._own_lock():
            bitmap = self._kept.get(condition)
            if bitmap is None:
                return None
            self._kept.move_to_end(condition)
            return bitmap

    def put(self, condition: Condition, bits: NDArray[np.uint64], version: int = 0) -> None:
        """Keep a bitmap; it replaces that of the condition, and those that were not used for longest."""
        own = condition.nbytes
        size = own + bits.nbytes
        with self._own_lock():
            self._nbytes -= self._kept.pop(condition, CachedBitmap(bits, 0, 0)).nbytes
            if own > self.most_bytes // 8:
                return
            self._kept[condition] = CachedBitmap(bits, version, size)
            self._nbytes += size
            while self._nbytes > self.most_bytes:
                self._nbytes -= self._kept.popitem(last=False)[1].nbytes

    def conditions(self) -> list[Condition]:
        """Those whose bitmaps are kept, the one used last behind the others."""
        with self._own_lock():
            return list(self._kept)

    def _begin(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._kept: OrderedDict[Condition, CachedBitmap] = OrderedDict()
        self._nbytes = 0

    def _own_lock(self) -> threading.Lock:
        if self._process != os.getpid():
            self._begin()
        return self._lock
