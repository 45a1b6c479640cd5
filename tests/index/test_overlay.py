"""An index whose items change, held against exact search over the items as they are."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.index import ExactIndex, FaissIndex, OverlayIndex
from funnel.index.auto import recall

from .conftest import GOAL, GRAPH_GOAL, K, World, mixture


def changed(
    index: FaissIndex, world: World, gone_share: float, seed: int = 0
) -> tuple[OverlayIndex, Allow, ExactIndex]:
    """The index with items gone, changed and added; what is there; and exact search over that."""
    rng = np.random.default_rng(seed)
    n = len(world.vectors)
    vectors = np.concatenate([world.vectors, mixture(7, 200)])
    moved = rng.choice(n, size=100, replace=False)
    vectors[moved] = mixture(8, 100)
    living = rng.random(len(vectors)) >= gone_share
    allow = Allow.of(living, len(world.queries))
    fresh = np.zeros(len(vectors), dtype=np.bool_)
    fresh[moved] = fresh[n:] = True
    bits = Allow.of(np.ones(len(vectors), dtype=np.bool_), 1).bits
    changing = OverlayIndex(index, vectors, bits)
    changing.put(np.flatnonzero(fresh).astype(np.int32))
    changing.drop(np.flatnonzero(~living).astype(np.int32))
    bits[:] = allow.bits[:1]
    return changing, Allow(bits, allow.filter_of * 0, len(vectors)), ExactIndex(vectors)


@pytest.mark.parametrize("gone_share", [0.0, 0.02, 0.6])
def test_changed_items_are_found_as_well_as_others(
    index: FaissIndex, world: World, gone_share: float
) -> None:
    changing, allow, exact = changed(index, world, gone_share)
    rows, scores = changing.search(world.queries, K)
    wanted, wanted_scores = exact.search(world.queries, K, allow=allow)
    assert (rows >= 0).all()
    assert allow.holds(np.arange(len(rows))[:, None], rows).all()
    assert (
        recall(rows, wanted)
        >= (GRAPH_GOAL if "HNSW" in index.spec and "IVF" not in index.spec else GOAL) - 0.02
    )
    same, same_scores = changing.search(world.queries, K, allow=allow)
    np.testing.assert_array_equal(rows, same)
    np.testing.assert_array_equal(scores, same_scores)
    if index.spec == "Flat":
        np.testing.assert_array_equal(rows, wanted)
        np.testing.assert_array_equal(scores, wanted_scores)


def test_a_filter_leaves_k_of_what_is_there(index: FaissIndex, world: World) -> None:
    changing, allow, exact = changed(index, world, 0.3)
    living = allow.masks()
    some = Allow.of(living & (np.random.default_rng(1).random(living.shape) < 0.1))
    rows, _ = changing.search(world.queries, K, allow=some)
    wanted, _ = exact.search(world.queries, K, allow=some)
    assert (rows >= 0).all()
    assert some.holds(np.arange(len(rows))[:, None], rows).all()
    assert recall(rows, wanted) >= GOAL - 0.02


def test_more_than_there_is(index: FaissIndex, world: World) -> None:
    changing, allow, _ = changed(index, world, 0.995)
    rows, scores = changing.search(world.queries[:3], K)
    n = int(allow.counts[0])
    assert n < K
    assert ((rows >= 0).sum(axis=1) == n).all()
    assert np.isneginf(scores[:, n:]).all()


def test_only_new_items_are_left(world: World) -> None:
    index = world.build("Flat")
    living = np.arange(3010) >= 3000
    vectors = np.concatenate([world.vectors, mixture(7, 10)])
    everything = np.arange(3000, dtype=np.int32)
    changing = OverlayIndex(index, vectors, Allow.of(living, 1).bits)
    changing.drop(everything)
    changing.put(everything[:10] + 3000)
    rows, _ = changing.search(world.queries, 5)
    assert (rows >= 3000).all()


def test_items_that_go_and_come_back_are_found_once(index: FaissIndex, world: World) -> None:
    vectors = world.vectors.copy()
    changing = OverlayIndex(index, vectors, Allow.of(np.ones(len(vectors), dtype=np.bool_), 1).bits)
    best = np.unique(changing.search(world.queries, 3)[0]).astype(np.int32)
    for _ in range(3):
        changing.drop(best)
        assert not np.isin(changing.search(world.queries, K)[0], best).any()
        changing.put(best)
        rows, _ = changing.search(world.queries, K)
        assert np.isin(best, rows).all()
        assert all(len(np.unique(row)) == K for row in rows)
    fresh = best[:5]
    changing.rebase(index, fresh, best[5:])
    rows, _ = changing.search(world.queries, K)
    assert not np.isin(rows, best[5:]).any()
    assert changing.beside.tolist() == fresh.tolist()


def test_a_change_costs_by_what_changes(world: World) -> None:
    n = 4_000_000
    index = ExactIndex(np.zeros((n, 1), dtype=np.float32))
    changing = OverlayIndex(index, np.zeros((n + 10, 1), dtype=np.float32), np.zeros((1, n // 64 + 1), "<u8"))
    changing.put(np.array([1], dtype=np.int32))
    tracemalloc.start()
    changing.put(np.array([5, n + 3], dtype=np.int32))
    changing.drop(np.array([7, n], dtype=np.int32))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000  # a bit a row is 500,000


class Meanwhile:
    """An index in whose searches something happens."""

    def __init__(self, index: ExactIndex) -> None:
        self.index, self.size, self.spec = index, index.size, index.spec
        self.before = self.after = lambda: None

    def search(self, *arguments: Any, **more: Any) -> Any:
        self.before()
        found = self.index.search(*arguments, **more)
        self.after()
        return found


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("filtered", [False, True])
def test_a_row_that_is_replaced_during_a_search_is_found_once(when: str, filtered: bool) -> None:
    """Neither lost between the index and what is beside it, nor there twice."""
    vectors = mixture(3, 50)
    base, bits = Meanwhile(ExactIndex(vectors)), Allow.of(np.ones(50, dtype=np.bool_), 1).bits
    changing = OverlayIndex(base, vectors, bits)
    allow = Allow.of(np.ones(50, dtype=np.bool_), 1) if filtered else None
    changing.drop(np.array([20], dtype=np.int32))  # so that what is hidden is looked at
    setattr(base, when, lambda: changing.put(np.array([7, 9], dtype=np.int32)))
    for _ in range(2):
        found = changing.search(mixture(4, 1), 50, allow=allow)[0][0]
        assert sorted(found[found >= 0].tolist()) == [row for row in range(50) if row != 20]
