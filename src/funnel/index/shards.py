"""An index in shards: ranges of item rows, each filled by itself from one training.

A shard depends on its number, its rows and the trained quantiser alone, so that whoever fills it, wherever
and whenever, writes the same file. Its lists are parts of the whole index's lists and its codes are the same
codes, so that the best of all shards' candidates are those of one index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from funnel import order
from funnel.artifacts.writing import whole_file
from funnel.errors import BundleError, ConfigError
from funnel.index.auto import choose_spec
from funnel.index.checks import finite
from funnel.index.config import IndexConfig, IndexInfo
from funnel.index.exact import nothing
from funnel.index.factory import filled, trained, trained_index
from funnel.index.files import read_index, size_of
from funnel.index.parameters import faiss, lists, names, nested, omp_threads
from funnel.types import Float32, Int32, Int64
from funnel.vectors import ItemVectors

#: The trained quantiser that shards are filled from, in their folder until they are put together.
TRAINED = "trained.faiss"


@dataclass(frozen=True, eq=False)
class Shards:
    """FAISS's indexes of consecutive ranges of rows, searched as one.

    starts: the first row of each.
    """

    indexes: tuple[Any, ...]
    starts: tuple[int, ...]

    @classmethod
    def built(cls, spec: str, vectors: ItemVectors, n: int, seed: int, threads: int) -> Shards:
        """Train, and fill n shards of finite vectors one after the other. Raises: ConfigError."""
        if n == 1:
            return cls((trained_index(spec, vectors, seed, threads),), (0,))
        empty = faiss.serialize_index(trained(spec, vectors, seed, threads, sampled=True))
        parts = ranges(len(vectors), n)
        indexes = [
            filled(faiss.deserialize_index(empty), spec, vectors.part(first, stop), threads)
            for first, stop in parts
        ]
        return cls(tuple(indexes), tuple(first for first, _ in parts))

    @classmethod
    def load(cls, folder: Path, info: IndexInfo, mmap: bool) -> Shards:
        """What `save` or `fill_shard` wrote. Raises: BundleError when a file is missing or damaged."""
        parts = ranges(info.size, info.shards)
        indexes = [
            read_index(folder / shard_file(number, info.shards), stop - first, info.dimension, mmap)
            for number, (first, stop) in enumerate(parts)
        ]
        _check_alike(indexes, folder, info.shards)
        return cls(tuple(indexes), tuple(first for first, _ in parts))

    def save(self, folder: Path) -> None:
        """A file for each shard."""
        for number, index in enumerate(self.indexes):
            faiss.write_index(index, str(folder / shard_file(number, len(self.indexes))))

    @property
    def first(self) -> Any:
        """The first of them: all are of one kind, with the same lists."""
        return self.indexes[0]

    @property
    def parts(self) -> Iterator[tuple[int, Any]]:
        """The first row and the index of each."""
        return zip(self.starts, self.indexes, strict=True)

    @property
    def bytes(self) -> int:
        """The size of the files, which are not written for this."""
        return sum(map(size_of, self.indexes))

    def nested(self, params: Mapping[str, int]) -> list[Any]:
        """Search parameters as FAISS takes them, for each shard."""
        return [nested(index, params) for index in self.indexes]

    def candidates(self, queries: Float32, k: int, params: list[Any], threads: int) -> Int32:
        """The rows that FAISS returns for a search of k among all: int32 [B, k], negative where it found
        fewer. Those of several shards are ordered by FAISS's own scores, ties by row. params: of `nested`.

        To collect candidates is what takes FAISS longest. So each shard is asked for its part of k and some
        more, and asked again for all k where the last that it gave is among the best k of all.
        """
        with omp_threads(threads):
            if len(self.indexes) == 1:
                rows: Int32 = self._of_shard(0, queries, k, params)[0]
                return rows
            part = min(k, k // len(self.indexes) + 4 * math.isqrt(k) + 1)
            results = [self._of_shard(number, queries, part, params) for number in range(len(self.indexes))]
            best = _best(results, k)
            for number, (rows, scores) in enumerate(results):
                more = np.flatnonzero((rows[:, -1] >= 0) & (scores[:, -1] >= best[1][:, -1]))
                if len(more) and rows.shape[1] < min(k, int(self.indexes[number].ntotal)):
                    results[number] = _widened(
                        results[number], more, self._of_shard(number, queries[more], k, params)
                    )
                    best = _best(results, k)
        return best[0]

    def _of_shard(self, number: int, queries: Float32, k: int, params: list[Any]) -> tuple[Int32, Float32]:
        """A shard's own best, by the rows of the whole."""
        index, start = self.indexes[number], self.starts[number]
        scores, rows = index.search(queries, min(k, int(index.ntotal)), params=params[number])
        return (rows if start == 0 else np.where(rows < 0, -1, rows + start)).astype(np.int32), scores


def _best(results: list[tuple[Int32, Float32]], k: int) -> tuple[Int32, Float32]:
    """The k best of what shards gave."""
    rows, scores = (np.concatenate(both, axis=1) for both in zip(*results, strict=True))
    return order.best(rows, scores, k)


def _widened(
    before: tuple[Int32, Float32], some: Int64, more: tuple[Int32, Float32]
) -> tuple[Int32, Float32]:
    """A shard's results with those of some queries replaced by longer ones; empty behind the others."""
    rows, scores = nothing(len(before[0]), more[0].shape[1])
    rows[:, : before[0].shape[1]], scores[:, : before[0].shape[1]] = before
    rows[some], scores[some] = more
    return rows, scores


def ranges(n: int, shards: int) -> list[tuple[int, int]]:
    """First and behind the last row of each of so many shards of n rows, whose sizes differ by one at most.

    Raises: ConfigError when there are more shards than rows.

    >>> ranges(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    check_shards(n, shards)
    edges = [number * n // shards for number in range(shards + 1)]
    return list(pairwise(edges))


def check_shards(n: int, shards: int) -> None:
    """Raises: ConfigError when there are more shards than items."""
    if shards > max(1, n):
        raise ConfigError(
            f"index.shards is {shards:,}, and there are {n:,} items; each holds one at least: take fewer"
        )


def shard_file(number: int, shards: int) -> str:
    """The name of a shard's file in the folder of an index."""
    return "index.faiss" if shards == 1 else f"index.{number:05}.faiss"


def train_shards(
    vectors: ItemVectors, config: IndexConfig, folder: Path, *, seed: int = 0, threads: int = 1
) -> bool:
    """Write the trained quantiser that `fill_shard` starts from, trained on a sample by the seed.

    Returns whether there is anything to fill: not for "Flat", whose shards are the vectors themselves.
    Raises: ConfigError when the spec is none, does not fit the vectors, or has more shards than they are;
    DataError when vectors are not finite.
    """
    check_shards(len(vectors), config.shards)
    if (spec := spec_of(config, vectors)) == "Flat":
        return False
    _write(trained(spec, finite(vectors), seed, threads, sampled=True), folder / TRAINED)
    return True


def fill_shard(
    number: int,
    vectors: ItemVectors,
    config: IndexConfig,
    folder: Path,
    *,
    threads: int = 1,
    out: Path | None = None,
) -> Path:
    """Write the number-th shard from the quantiser that `train_shards` left in the folder.

    vectors: of all items, of which only the shard's own are read. out: the folder that it is written to;
    None: beside the quantiser. Done again, or by another process or machine, it writes the same bytes; the
    file is whole or not there. Returns its path.
    Raises: BundleError when the quantiser is not there or the file cannot be written.
    """
    first, stop = ranges(len(vectors), config.shards)[number]
    index = filled(_read_trained(folder), spec_of(config, vectors), vectors.part(first, stop), threads)
    path = (out or folder) / shard_file(number, config.shards)
    _write(index, path)
    return path


def _check_alike(indexes: list[Any], folder: Path, shards: int) -> None:
    kinds = [(names(index), lists(index)) for index in indexes]
    for number, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise BundleError(
                f"{folder / shard_file(number, shards)}: {kind[1]} lists and parameters {kind[0]}; the first "
                f"shard has {kinds[0][1]} and {kinds[0][0]}: they are of two indexes; build the index again"
            )


def spec_of(config: IndexConfig, vectors: ItemVectors) -> str:
    """The factory string, chosen where the config leaves that to funnel."""
    return choose_spec(*vectors.shape) if config.spec == "auto" else config.spec


def _read_trained(folder: Path) -> Any:
    try:
        return faiss.read_index(str(folder / TRAINED))
    except RuntimeError as error:
        raise BundleError(f"{folder / TRAINED}: missing or damaged; train the index first") from error


def _write(index: Any, path: Path) -> None:
    with whole_file(path) as hidden:
        hidden.write_bytes(faiss.serialize_index(index))
