"""How long a processor waits for memory: reads of which each needs the one before, in an order by chance.

What is read again and again within a level of cache has that level's time. A machine that is shared may have
less of the last level than its processor's data sheet says: others use it too.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from numba import njit

from funnel.types import Int64

#: KiB that are read over: within the first level of cache, the second, and beyond.
SIZES = (16, 256, 1024, 4096, 16384, 65536, 262144)


def read_latency(sizes: tuple[int, ...] = SIZES, reads: int = 500_000, seed: int = 0) -> dict[str, float]:
    """Nanoseconds a read, by the KiB that are read over: the least of three tries."""
    return {f"{size} KiB": round(_nanoseconds(size, reads, seed), 1) for size in sizes}


def _nanoseconds(size: int, reads: int, seed: int) -> float:
    ring = _ring(size * 1024 // 64, seed)
    _chase(ring, len(ring) // 8)
    tries = []
    for _ in range(3):
        start = perf_counter()
        _chase(ring, reads)
        tries.append(perf_counter() - start)
    return min(tries) / reads * 1e9


def _ring(lines: int, seed: int) -> Int64:
    """For each line of cache, of eight numbers, where the next one to read begins: one ring of all."""
    order = np.random.default_rng(seed).permutation(lines) * 8
    ring = np.zeros(lines * 8, dtype=np.int64)
    ring[order] = np.roll(order, -1)
    return ring


@njit  # type: ignore[untyped-decorator]
def _chase(ring: Int64, reads: int) -> int:
    at = 0
    for _ in range(reads):
        at = ring[at]
    return at
