"""The index of the towers' vectors, whose shards are filled as parts that workers may do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from funnel.index import FaissIndex, IndexConfig
from funnel.index.shards import fill_shard, train_shards
from funnel.pipeline.held_out import sample
from funnel.pipeline.prepare import Prepared
from funnel.recipes import Output, Recipe, each
from funnel.towers.queries import Queries
from funnel.vectors import ItemVectors


def item_index(prepared: Prepared, queries: Queries, folder: Path) -> FaissIndex:
    """The index of the towers' vectors, measured with queries of the ranker's window.

    folder: of the bundle, with the vectors in towers/; shards are filled in a hidden folder of it.
    """
    config = prepared.config
    with _filled(queries.item_vectors, config.index, config.seed, folder) as filled:
        return FaissIndex.build(
            queries.item_vectors,
            config.index,
            queries.encode(sample(prepared.split.ranker, 500, config.seed).requests),
            seed=config.seed,
            towers_fingerprint=queries.towers.fingerprint,
            threads=_cores(),  # the same index, whatever their number
            filled=filled,
        )


@contextmanager
def _filled(vectors: ItemVectors, config: IndexConfig, seed: int, folder: Path) -> Iterator[Path | None]:
    """A folder with all shards for the block; None where there are not several, or nothing to fill."""
    if config.shards == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix=".shards-") as name:
        hidden = Path(name)
        several = train_shards(vectors, config, hidden, seed=seed, threads=_cores())
        if several:
            here = partial(fill_shard, vectors=vectors, config=config, folder=hidden, threads=_cores())
            path = folder / "towers" / "item_vectors.npy"
            recipe = Recipe(_filler, path, vectors.shape[1], config, hidden, Output(hidden), here=here)
            list(each(recipe, range(config.shards), threads=1))
        yield hidden if several else None


def _filler(path: Path, d: int, config: IndexConfig, folder: Path, out: Output) -> Callable[[int], object]:
    """On a worker, which has one core for it."""
    vectors = ItemVectors.load(path, d)
    return partial(fill_shard, vectors=vectors, config=config, folder=folder, out=out.folder)


def _cores() -> int:
    return os.cpu_count() or 1
