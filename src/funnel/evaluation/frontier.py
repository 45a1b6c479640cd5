"""Measures kinds of index on given vectors: recall, milliseconds, memory and build time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from funnel.errors import ConfigError, DataError
from funnel.index.auto import inverted_lists
from funnel.index.checks import at_least_one, checked_queries, finite, plain
from funnel.index.config import IndexConfig
from funnel.index.exact import exact_search
from funnel.index.faiss_index import FaissIndex
from funnel.settings import Settings
from funnel.types import Float32
from funnel.vectors import ItemVectors

log = logging.getLogger(__name__)

#: Recalls that each kind is tuned for, beside the goal.
RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99)
#: Up to so many vectors graphs are tried, which take minutes to build for a million. Rotations and residual
#: quantisers (OPQ, RQ, LSQ) take minutes to train for 40,000 already: they are tried only when named.
_SLOW_BUILDS = 300_000
#: Times that differ by less are equal: then the smaller index is the better one.
_EQUAL = 1.1


class Point(Settings):
    """A kind of index with its search parameters, measured.

    recall: at k, see `Frontier`. ms: of one query, the median. bytes: beside the vectors. build_seconds: to
    train and fill it.
    """

    spec: str
    params: dict[str, int]
    recall: float
    ms: float
    bytes: int
    build_seconds: float

    def dominates(self, other: Point) -> bool:
        """No worse in anything and better in something."""
        ours, theirs = (
            (-p.recall, p.ms, p.bytes, p.build_seconds) for p in (self, other)
        )  # fmt: skip
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))


class Frontier(Settings):
    """Everything that was measured; `best` are the points that no other dominates.

    k: the length of a result, and what recall is measured at. failed: specs that could not be built, and why.
    """

    size: int
    dimension: int
    k: int
    goal: float
    queries: int
    points: tuple[Point, ...]
    failed: dict[str, str]

    @property
    def best(self) -> tuple[Point, ...]:
        """The Pareto frontier, fastest first."""
        kept = [p for p in self.points if not any(other.dominates(p) for other in self.points)]
        return tuple(sorted(kept, key=lambda p: (p.ms, p.spec)))

    @property
    def chosen(self) -> Point | None:
        """The fastest that reaches the goal; of those as fast, the smallest. None where none reaches it."""
        reaching = [p for p in self.points if p.recall >= self.goal]
        if not reaching:
            return None
        limit = _EQUAL * min(p.ms for p in reaching)
        return min((p for p in reaching if p.ms <= limit), key=lambda p: (p.bytes, p.ms))


def kinds(n: int, d: int) -> tuple[str, ...]:
    """The specs that are worth a try for n vectors of d numbers."""
    lists = inverted_lists(n)
    half = d if d % 2 else d // 2
    some = [f"IVF{size}" for size in dict.fromkeys((max(1, lists // 4), lists))]
    codes = ["Flat", "SQ8", f"PQ{d}x4fs", f"PQ{half}x4fs", "RaBitQfs"]
    specs = ["Flat", "SQ8", f"PQ{half}x4fs", *(f"{ivf},{code}" for ivf in some for code in codes)]
    if n <= _SLOW_BUILDS:
        specs.append("HNSW32")
    return tuple(dict.fromkeys(specs))


def measure(
    vectors: ItemVectors | Float32,
    queries: Float32,
    *,
    k: int = 500,
    goal: float = 0.98,
    specs: Sequence[str] = (),
    seed: int = 0,
    threads: int = 1,
    rounds: int = 3,
) -> Frontier:
    """Build each kind of index, tune it for several recalls, and time it, one query after another.

    vectors: [n, d]. queries: float32 [Q, d]. k: at most n is taken. specs: default `kinds`. A spec
    that does not fit the vectors is among `failed`. threads: for building and for the exact search.
    The recalls and search parameters are the same every time; times and what they decide are not.

    Raises: ConfigError when the goal is no share, or none of the given specs can be built; DataError when
    there are no vectors or no queries, or they are not finite numbers.
    """
    if not 0 < goal <= 1:
        raise ConfigError(f"the recall goal is {goal}; it must be above 0 and at most 1")
    vectors = finite(plain(vectors))
    queries = checked_queries(queries, vectors.shape[1])
    if len(vectors) == 0 or len(queries) == 0:
        raise DataError(f"{len(vectors)} vectors and {len(queries)} queries: nothing can be measured")
    k = min(at_least_one("k", k), len(vectors))
    wanted, _ = exact_search(vectors, queries, k, threads=threads)
    points: list[Point] = []
    failed: dict[str, str] = {}
    for spec in specs or kinds(*vectors.shape):
        log.info("measuring %s", spec)
        try:
            points += _points(spec, vectors, queries, wanted, goal, seed, threads, rounds)
        except ConfigError as error:
            failed[spec] = str(error)
    if not points:
        raise ConfigError("; ".join(failed.values()))
    return Frontier(
        size=len(vectors), dimension=vectors.shape[1], k=k, goal=goal, queries=len(queries),
        points=tuple(points), failed=failed,
    )  # fmt: skip


def _points(
    spec: str, vectors: ItemVectors, queries: Float32, wanted: np.ndarray, goal: float, seed: int,
    threads: int, rounds: int,
) -> Iterator[Point]:  # fmt: skip
    """One kind of index, built."""
    start = time.perf_counter()
    index = FaissIndex.untuned(
        vectors, IndexConfig(spec=spec, recall=goal, k=wanted.shape[1]), seed=seed, threads=threads
    )
    seconds = time.perf_counter() - start
    return _rising(index, queries, wanted, goal, seconds, threads, rounds)


def measure_settings(
    index: FaissIndex, vectors: ItemVectors | Float32, queries: Float32, *, threads: int = 1, rounds: int = 3
) -> tuple[Point, ...]:
    """Recall and cost of an existing index at several settings, with exact search as the last point.

    Empty where the index is exact search itself. Nothing is built: `build_seconds` are 0.
    vectors: those in the index, [n, d]. queries: float32 [Q, d]. Recall is at the index's own k.
    """
    if not index.parameters or len(queries) == 0:
        return ()
    wanted, _ = exact_search(vectors, queries, index.info.recall_k, threads=threads)
    exact = FaissIndex.untuned(vectors, IndexConfig(spec="Flat", k=index.info.recall_k))
    last = _rising(exact, queries, wanted, 1.0, 0.0, threads, 1)
    return (*_rising(index, queries, wanted, index.info.recall_goal, 0.0, threads, rounds), *last)


def _rising(
    index: FaissIndex, queries: Float32, wanted: np.ndarray, goal: float, seconds: float, threads: int,
    rounds: int,
) -> Iterator[Point]:  # fmt: skip
    """Points of an index, by rising recall; for a recall that it does not reach, the highest that it does."""
    size = index.bytes
    tried: list[dict[str, int]] = []
    for share in sorted({*RECALLS, goal}) if index.parameters else [1.0]:
        tuned = index.tuned(queries, wanted, share, {}, threads) if index.parameters else index
        params = tuned.info.params
        if params not in tried:
            tried.append(params)
            ms = _median_ms(tuned, queries, wanted.shape[1], rounds)
            yield Point(
                spec=index.spec, params=params, recall=tuned.info.recall, ms=ms, bytes=size,
                build_seconds=seconds,
            )  # fmt: skip
        if tuned.info.recall < share:
            break


def _median_ms(index: FaissIndex, queries: Float32, k: int, rounds: int) -> float:
    """The median over queries of the shortest of some rounds: other work on the machine only adds time."""
    seconds = np.empty((rounds, len(queries)))
    for i in range(rounds):
        for j in range(len(queries)):
            start = time.perf_counter()
            index.search(queries[j : j + 1], k)
            seconds[i, j] = time.perf_counter() - start
    return float(1000 * np.median(seconds.min(axis=0)))
