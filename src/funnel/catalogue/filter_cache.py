"""The bitmaps of the conditions that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.catalogue.condition import Condition
from funnel.processes import PerProcess


class CachedBitmap(NamedTuple):
    """A bitmap. version: of the catalogue that it was made from, where that changes."""

    bits: NDArray[np.uint64]
    version: int
    nbytes: int


@dataclass
class _Kept:
    """Bitmaps by condition, the one used last behind the others, and the bytes of all."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    by: OrderedDict[Condition, CachedBitmap] = field(default_factory=OrderedDict)
    nbytes: int = 0


class FilterCache:
    """Bitmaps by condition, those used last, within so many bytes: filters come again. Thread-safe.

    Bytes are those of the bitmaps and of the conditions, which may be long lists of values. A condition that
    takes more than an eighth of all is not kept, so that one long list does not drive everything out.
    A process that was forked begins with an empty one: it may have been forked in the middle of a change.
    """

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        self.most_bytes = most_bytes
        self._kept = PerProcess(_Kept)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return self._kept.get().nbytes

    def __len__(self) -> int:
        return len(self._kept.get().by)

    def get(self, condition: Condition) -> CachedBitmap | None:
        """The bitmap of a condition, None where it is not kept."""
        kept = self._kept.get()
        with kept.lock:
            bitmap = kept.by.get(condition)
            if bitmap is not None:
                kept.by.move_to_end(condition)
            return bitmap

    def put(self, condition: Condition, bits: NDArray[np.uint64], version: int = 0) -> None:
        """Keep a bitmap; it replaces that of the condition, and those that were not used for longest."""
        own, kept = condition.nbytes, self._kept.get()
        size = own + bits.nbytes
        with kept.lock:
            kept.nbytes -= kept.by.pop(condition, CachedBitmap(bits, 0, 0)).nbytes
            if own > self.most_bytes // 8:
                return
            kept.by[condition] = CachedBitmap(bits, version, size)
            kept.nbytes += size
            while kept.nbytes > self.most_bytes:
                kept.nbytes -= kept.by.popitem(last=False)[1].nbytes

    def conditions(self) -> list[Condition]:
        """Those whose bitmaps are kept, the one used last behind the others."""
        kept = self._kept.get()
        with kept.lock:
            return list(kept.by)
