"""Pairs of items counted for a range of source items, from arrays in memory or in files that others map."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.kernels import heap_push, heap_sort
from funnel.recipes import Recipe, workers
from funnel.types import Float32, Int32, Int64

#: The neighbours of a range of items: how many each has, and items and weights end to end.
Counted = tuple[Int64, Int32, Float32]


class Positions(NamedTuple):
    """Users' lists end to end (values, offsets), the list of each position, and the positions of each item.

    Those of item i are `of_item[item_offsets[i]:item_offsets[i + 1]]`.
    """

    values: NDArray[Any]
    offsets: Int64
    list_of: NDArray[Any]
    of_item: NDArray[Any]
    item_offsets: Int64


class Scales(NamedTuple):
    """A weighting with its powers taken: by distance, by user, by item as source and as neighbour."""

    ahead: NDArray[np.float64]
    back: NDArray[np.float64]
    user: NDArray[np.float64]
    source: NDArray[np.float64]
    target: NDArray[np.float64]


T = TypeVar("T", Positions, Scales)


class Counter:
    """Counts the `kept` best neighbours of each item of a range, (first, stop)."""

    def __init__(self, positions: Positions, scales: Scales, kept: int) -> None:
        self._positions, self._scales = Positions(*map(frozen, positions)), Scales(*map(frozen, scales))
        self._kept, n_items = kept, len(scales.source)
        self._sums, self._touched = np.zeros(n_items), np.empty(n_items, dtype=np.int32)

    def __call__(self, part: tuple[int, int]) -> Counted:
        first, stop = part
        counted: Counted = _count_block(
            first, stop, self._kept, self._positions, self._scales, self._sums, self._touched
        )
        return counted


@contextmanager
def counting(
    positions: Positions, scales: Scales, kept: int, folder: Path | None
) -> Iterator[Recipe | Callable[[tuple[int, int]], Counted]]:
    """What counts ranges of items within the block.

    folder: where workers, if there are any, find the arrays meanwhile; None: this process counts.
    """
    if folder is None or workers() is None:
        yield Counter(positions, scales, kept)
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pairs-") as hidden:
        for of in (positions, scales):
            for name, array in of._asdict().items():
                save_array(Path(hidden), name, array)
        yield Recipe(_counter, Path(hidden), kept)


def _counter(folder: Path, kept: int) -> Counter:
    """On a worker."""
    return Counter(_mapped(folder, Positions), _mapped(folder, Scales), kept)


def _mapped(folder: Path, of: type[T]) -> T:
    return of(*(load_array(folder, name, "number", None) for name in of._fields))


@compiled
def _count_block(
    first: int, stop: int, n_kept: int, positions: Any, scales: Any, sums: Any, touched: Any
) -> Any:
    """The neighbours of the items first … stop: sizes, and items and weights end to end.

    sums: float64 [n_items], zero, left zero; touched: int32 [n_items], scratch.
    """
    sizes = np.zeros(stop - first, dtype=np.int64)
    items = np.empty((stop - first) * n_kept, dtype=np.int32)
    weights = np.empty((stop - first) * n_kept, dtype=np.float32)
    total = 0
    for item in range(first, stop):
        n = 0
        for position in positions.of_item[positions.item_offsets[item] : positions.item_offsets[item + 1]]:
            n = _add_pairs(position, positions, scales, sums, touched, n)
        best, best_weights = items[total : total + n_kept], weights[total : total + n_kept]
        size = 0
        for neighbour in touched[:n]:
            weight = np.float32(sums[neighbour] * scales.source[item] * scales.target[neighbour])
            sums[neighbour] = 0.0
            if weight > 0:
                size = heap_push(best_weights, best, size, weight, neighbour)
        heap_sort(best_weights, best, size)
        sizes[item - first] = size
        total += size
    return sizes, items[:total].copy(), weights[:total].copy()


@compiled(inner=True)
def _add_pairs(position: int, positions: Any, scales: Any, sums: Any, touched: Any, n: int) -> int:
    """Count the items on both sides of a position within its list; returns how many are touched by now."""
    user = positions.list_of[position]
    first, stop = positions.offsets[user], positions.offsets[user + 1]
    for other in range(max(first, position - len(scales.back)), min(stop, position + len(scales.ahead) + 1)):
        neighbour = positions.values[other]
        if neighbour == positions.values[position]:
            continue
        if sums[neighbour] == 0.0:
            touched[n] = neighbour
            n += 1
        near = scales.ahead[other - position - 1] if other > position else scales.back[position - other - 1]
        sums[neighbour] += near * scales.user[user]
    return n
