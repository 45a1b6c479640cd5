"""An index whose items change, held against exact search over the items as they are."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.index import ChangingIndex, ExactIndex, FaissIndex
from funnel.index.auto import recall

from .conftest import GOAL, GRAPH_GOAL, K, World, mixture


def changed(
    index: FaissIndex, world: World, gone_share: float, seed: int = 0
) -> tuple[ChangingIndex, Allow, ExactIndex]:
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
    hidden = np.flatnonzero((fresh | ~living)[:n]).astype(np.int32)
    delta = np.flatnonzero(fresh & living).astype(np.int32)
    return ChangingIndex(index, vectors, hidden, delta, allow.bits), allow, ExactIndex(vectors)


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
    changing = ChangingIndex(index, vectors, everything, everything[:10] + 3000, Allow.of(living, 1).bits)
    rows, _ = changing.search(world.queries, 5)
    assert (rows >= 3000).all()
