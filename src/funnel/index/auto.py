"""The kind of index for a catalogue, and the cheapest search parameters that reach a recall."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import bisect as first_from
from funnel.types import Int32

_FLAT = 50_000
_MOST_LISTS = 4096
_K_FACTORS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
#: What one candidate more costs (kept by FAISS, read at random, scored, sorted) in codes scanned in order. A
#: round figure of what was measured and not a measurement, so that the same data gives the same parameters on
#: a busy machine.
_AT_RANDOM = 10


def inverted_lists(n: int) -> int:
    """How many inverted lists n vectors are cut into: about 2 √n, a power of two, at most 4,096.

    More lists than that are found no faster, since each query is compared with every list's centre, and for
    ten million vectors the comparison of all vectors with all centres is what building takes.
    """
    return min(_MOST_LISTS, 2 ** round(math.log2(2 * math.sqrt(max(1, n)))))


def choose_spec(n: int, d: int) -> str:
    """The factory string for n vectors of d numbers.

    Up to 50,000 every vector is read (a third of a millisecond on one core); above there are inverted lists
    of 4-bit product codes, a number a code, scanned in registers (André, Kermarrec and Le Scouarnec 2015),
    the best scored again with the true vectors. The rule is what `funnel tune` measured on trained vectors;
    nothing is timed while a bundle is built, so that the same inputs give the same bundle.
    """
    return "Flat" if n <= _FLAT else f"IVF{inverted_lists(n)},PQ{d}x4fs"


def recall(returned: Int32, wanted: Int32) -> float:
    """The share of the wanted rows [B, k] that are among the returned [B, k]; negative ones are no rows.

    >>> recall(np.array([[3, 1]], np.int32), np.array([[1, 2]], np.int32))
    0.5
    """
    if len(returned) != len(wanted):
        raise ValueError(f"returned is of {len(returned)} queries, wanted of {len(wanted)}")
    return float(_hits(np.sort(returned, axis=1), wanted) / max(1, (wanted >= 0).sum()))


@compiled
def _hits(returned: Int32, wanted: Int32) -> int:
    """How many of the wanted rows are found, whose rows are sorted. Compiled: a compaction measures hundreds
    of times while requests wait for Python's lock."""
    hits = 0
    for query in range(len(wanted)):
        row = returned[query]
        for item in wanted[query]:
            position = first_from(row, 0, len(row), item)
            hits += item >= 0 and position < len(row) and row[position] == item
    return hits


def ladders(
    names: tuple[str, ...], fixed: Mapping[str, int], n: int, lists: int, k: int
) -> dict[str, list[int]]:
    """The values to try for each parameter, rising; a fixed one has one value.

    n: vectors. lists: inverted lists among them. k: results of a search.
    """
    steps = {
        "nprobe": _steps(1, lists),
        # FAISS takes at least k. Its queue is searched from end to end, so that long ones are slower than
        # exact search.
        "efSearch": _steps(k, min(n, 16 * k)),
        "k_factor": [factor for factor in _K_FACTORS if factor == 1 or k * (factor - 1) < n],
    }
    return {name: [fixed[name]] if name in fixed else steps[name] for name in names}


def cost(params: Mapping[str, int], n: int, lists: int, k: int) -> float:
    """About how much a search does, in codes scanned."""
    scanned = n * params["nprobe"] / lists if "nprobe" in params else 0
    return scanned + _AT_RANDOM * (params.get("efSearch", 0) + k * params.get("k_factor", 0))


def tune(
    measure: Callable[[dict[str, int]], float],
    values: Mapping[str, list[int]],
    cost: Callable[[dict[str, int]], float],
    goal: float,
) -> tuple[dict[str, int], float]:
    """The cheapest parameters with a recall of at least `goal`, and that recall; where nothing reaches the
    goal, the cheapest of those with the highest recall.

    Recall and cost rise with every parameter. So for each value of the others, rising, the first parameter is
    found by halving, and never needs to be higher than it was for the value before.
    """
    tried: dict[tuple[int, ...], float] = {}
    first, *others = values.values()

    def named(point: tuple[int, ...]) -> dict[str, int]:
        return dict(zip(values, point, strict=True))

    def measured(rest: tuple[int, ...], step: int) -> float:
        point = (first[step], *rest)
        if point not in tried:
            tried[point] = measure(named(point))
        return tried[point]

    def reaching(goal: float) -> list[dict[str, int]]:
        return [named(point) for point, reached in tried.items() if reached >= goal]

    highest = len(first) - 1
    for rest in itertools.product(*others):
        least = cost(named((first[0], *rest)))
        if any(cost(params) <= least for params in reaching(goal)):
            break
        if measured(rest, highest) >= goal:
            highest = bisect.bisect_left(range(highest), goal, key=partial(measured, rest))
    best = min(reaching(goal) or reaching(max(tried.values())), key=cost)
    return best, tried[tuple(best.values())]


def _steps(low: int, high: int) -> list[int]:
    """Whole numbers from low to high, each about a quarter more than the one before."""
    steps = [low]
    while steps[-1] < high:
        steps.append(min(high, max(steps[-1] + 1, steps[-1] * 5 // 4)))
    return steps
