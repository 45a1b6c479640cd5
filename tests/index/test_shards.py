"""An index in shards finds what one index finds, whoever filled them and in whatever order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.errors import BundleError, ConfigError
from funnel.index import ExactIndex, FaissIndex, IndexConfig, check_fits
from funnel.index.auto import recall
from funnel.index.shards import fill_shard, ranges, train_shards
from funnel.vectors import ItemVectors
from tests.processes import python

from .conftest import GOAL, K, World

SPEC = "IVF64,PQ32x4fs"


def built(world: World, spec: str, shards: int, **options: object) -> FaissIndex:
    config = IndexConfig(spec=spec, recall=GOAL, k=K, shards=shards, **options)
    return FaissIndex.build(world.vectors, config, world.sample, towers_fingerprint="towers")


def same(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> None:
    for mine, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shards", [2, 7, 3000])
@pytest.mark.parametrize("threads", [1, 3])
def test_flat_shards_give_the_lists_of_exact_search(
    world: World, exact: ExactIndex, shards: int, threads: int
) -> None:
    index = built(world, "Flat", shards)
    for k in (1, K, 3001):
        same(
            index.search(world.queries[:20], k, threads=threads),
            exact.search(world.queries[:20], k),
        )
    allow = Allow.of(np.arange(3000) % 7 == 0, 20)
    same(index.search(world.queries[:20], K, allow=allow), exact.search(world.queries[:20], K, allow=allow))


def test_equal_scores_of_two_shards_go_by_row(world: World) -> None:
    vectors = np.repeat(world.vectors[:10], 6, axis=0)
    config = IndexConfig(spec="Flat", shards=5)
    same(
        FaissIndex.build(vectors, config, world.sample).search(world.queries, 60),
        ExactIndex(vectors).search(world.queries, 60),
    )


@pytest.mark.parametrize("shards", [2, 4])
def test_at_equal_work_shards_find_what_one_index_finds(world: World, exact: ExactIndex, shards: int) -> None:
    params = {"nprobe": 12, "k_factor": 4}
    one, several = built(world, SPEC, 1, params=params), built(world, SPEC, shards, params=params)
    same(several.search(world.queries, K), one.search(world.queries, K))
    wanted = exact.search(world.queries, K)[0]
    params = {"nprobe": 12, "k_factor": 1}
    shares = [recall(index.search(world.queries, K, params=params)[0], wanted) for index in (one, several)]
    assert abs(shares[0] - shares[1]) <= 0.001
    allow = Allow.of(np.random.default_rng(0).random(3000) < 0.4, len(world.queries))
    same(several.search(world.queries, K, allow=allow), one.search(world.queries, K, allow=allow))


def test_a_shard_that_holds_all_of_the_best_gives_them(world: World) -> None:
    """Rows in the order of a query's own scores: its best are in one shard, other queries' all over."""
    query, k = world.queries[:1], 350
    vectors = world.vectors[np.argsort(world.vectors @ query[0], kind="stable")]
    params = {"nprobe": 64, "k_factor": 4}
    one, several = (
        FaissIndex.build(vectors, IndexConfig(spec=SPEC, k=k, shards=n, params=params), world.sample)
        for n in (1, 8)
    )
    rows, _ = one.search(query, k)
    assert (rows >= 3000 - 3000 // 8).mean() > 0.95
    for queries in (query, world.queries):
        same(several.search(queries, k), one.search(queries, k))


@pytest.mark.parametrize("spec", ["HNSW16", "SQ8", "PQ16x4fs,RFlat", "IVF64,Flat", "PCA24,IVF64,SQ8,RFlat"])
def test_every_kind_may_be_in_shards(world: World, exact: ExactIndex, spec: str, tmp_path: Path) -> None:
    index = built(world, spec, 3)
    wanted = exact.search(world.queries, K)[0]
    # The graph of a third of the items is searched as far as that of all.
    assert recall(index.search(world.queries, K)[0], wanted) >= (0.85 if "HNSW" in spec else GOAL - 0.02)
    index.save(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.faiss")) == [
        f"index.{number:05}.faiss" for number in range(3)
    ]
    assert index.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.faiss"))
    loaded = FaissIndex.load(tmp_path, world.vectors, towers_fingerprint="towers")
    assert loaded.info == index.info
    assert loaded.info.shards == 3
    same(loaded.search(world.queries, K), index.search(world.queries, K))


FILL = """
import sys
from pathlib import Path
from funnel.index import IndexConfig
from funnel.index.shards import fill_shard
from funnel.vectors import ItemVectors

folder, spec, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fill_shard(number, ItemVectors.load(folder / "vectors.npy", 32), IndexConfig(spec=spec, shards=4), folder)
"""


def test_processes_fill_the_shards_that_one_would(world: World, tmp_path: Path) -> None:
    vectors = ItemVectors.of(world.vectors).kept("int8")
    vectors.save(tmp_path / "vectors.npy")
    config = IndexConfig(spec=SPEC, recall=GOAL, k=K, shards=4)
    assert train_shards(vectors, config, tmp_path)
    for number in (2, 0, 3):
        fill_shard(number, vectors, config, tmp_path)
    assert python("-c", FILL, tmp_path, SPEC, 1).returncode == 0
    index = FaissIndex.build(vectors, config, world.sample, filled=tmp_path)
    alone = FaissIndex.build(vectors, config, world.sample)
    (tmp_path / "one").mkdir()
    alone.save(tmp_path / "one")
    for number in range(4):
        name = f"index.{number:05}.faiss"
        assert (tmp_path / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    before = (tmp_path / "index.00002.faiss").read_bytes()
    (tmp_path / "index.00002.faiss").write_bytes(b"half of it")
    fill_shard(2, vectors, config, tmp_path)  # as a task that is tried again
    assert (tmp_path / "index.00002.faiss").read_bytes() == before
    assert index.info == alone.info
    same(index.search(world.queries, K), alone.search(world.queries, K))


def test_flat_has_nothing_to_fill(world: World, tmp_path: Path) -> None:
    assert not train_shards(ItemVectors.of(world.vectors), IndexConfig(spec="Flat", shards=2), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_shard_is_not_filled_without_the_quantiser(world: World, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"trained\.faiss: missing or damaged"):
        fill_shard(0, ItemVectors.of(world.vectors), IndexConfig(spec=SPEC, shards=2), tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_shard_is_named(world: World, tmp_path: Path, damage: str) -> None:
    built(world, SPEC, 4).save(tmp_path)
    path = tmp_path / "index.00002.faiss"
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    if damage == "other":
        built(world, SPEC, 3).save(tmp_path / "three")
        (tmp_path / "three" / "index.00001.faiss").rename(path)
    with pytest.raises(BundleError, match=r"index\.00002\.faiss"):
        FaissIndex.load(tmp_path, world.vectors)


def test_shards_of_two_indexes_are_refused(world: World, tmp_path: Path) -> None:
    built(world, SPEC, 4).save(tmp_path)
    built(world, "IVF32,PQ32x4fs", 4).save(tmp_path / "other")
    (tmp_path / "other" / "index.00003.faiss").replace(tmp_path / "index.00003.faiss")
    with pytest.raises(BundleError, match=r"index\.00003\.faiss: 32 lists .* they are of two indexes"):
        FaissIndex.load(tmp_path, world.vectors)


@pytest.mark.parametrize("shards", [3001, 0, 10_001, "two"])
def test_a_damaged_number_of_shards_is_named(world: World, tmp_path: Path, shards: object) -> None:
    built(world, "Flat", 4).save(tmp_path)
    path = tmp_path / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shards": shards}))
    with pytest.raises(BundleError, match=r"index\.json: "):
        FaissIndex.load(tmp_path, world.vectors)


def test_one_shard_is_written_as_it_was(world: World, tmp_path: Path) -> None:
    built(world, SPEC, 1).save(tmp_path)
    assert "shards" not in (tmp_path / "index.json").read_text()
    assert (tmp_path / "index.faiss").exists()


def test_more_shards_than_items(world: World, tmp_path: Path) -> None:
    config = IndexConfig(spec="Flat", shards=6)
    message = r"index\.shards is 6, and there are 5 items; each holds one at least: take fewer"
    with pytest.raises(ConfigError, match=message):
        check_fits(config, 5, 32)
    with pytest.raises(ConfigError, match=message):
        FaissIndex.build(world.vectors[:5], config, world.sample)
    with pytest.raises(ConfigError, match=message):
        train_shards(ItemVectors.of(world.vectors[:5]), config, tmp_path)
    check_fits(config, 6, 32)


@pytest.mark.parametrize(("n", "shards"), [(10, 3), (10, 10), (64, 1), (1001, 8)])
def test_ranges_hold_every_row_once(n: int, shards: int) -> None:
    parts = ranges(n, shards)
    assert [row for first, stop in parts for row in range(first, stop)] == list(range(n))
    sizes = [stop - first for first, stop in parts]
    assert len(parts) == shards
    assert max(sizes) - min(sizes) <= 1
