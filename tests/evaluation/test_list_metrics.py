"""Metrics of ranked lists: equal to ranx, and what must hold whatever the lists are."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.errors import ConfigError, DataError
from funnel.evaluation import compute, compute_all
from funnel.types import Ragged

METRICS = ("ndcg", "recall", "mrr", "map", "hit_rate")


@st.composite
def lists(draw):
    """Ranked lists with empty positions at the end, and distinct targets; K above and below the catalogue."""
    n_items, n, width = draw(st.integers(2, 30)), draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    items = np.full((n, width), -1, dtype=np.int32)
    for row in items:
        filled = rng.integers(0, min(width, n_items) + 1)
        row[:filled] = rng.permutation(n_items)[:filled]
    targets = [rng.permutation(n_items)[: rng.integers(1, n_items + 1)] for _ in range(n)]
    return items, Ragged.from_lists(targets), draw(st.integers(1, 15))


#: ranx's kernels of one query. Its public functions loop over them in parallel, which takes half a minute to
#: compile on a fresh machine and computes the same.
RANX = {
    "ndcg": ("ndcg", "_ndcg", (1, True)),
    "recall": ("recall", "_recall", (1,)),
    "mrr": ("reciprocal_rank", "_reciprocal_rank", (1,)),
    "map": ("average_precision", "_average_precision", (1,)),
    "hit_rate": ("hit_rate", "_hit_rate", (1,)),
}


def by_ranx(metric: str, k: int, items: np.ndarray, targets: Ragged) -> list[float]:
    """ranx on the same lists, as [document, relevance] and [document, score]."""
    module, kernel, options = RANX[metric]
    compute_one = getattr(import_module(f"ranx.metrics.{module}"), kernel)
    values = []
    for i, row in enumerate(items):
        wanted = np.stack([targets[i], np.ones(len(targets[i]))], axis=1).astype(float)
        shown = np.stack([row[row >= 0], -np.arange((row >= 0).sum())], axis=1).astype(float)
        values.append(compute_one(wanted, shown, k, *options))
    return values


@pytest.fixture(scope="module")
def random_lists():
    rng = np.random.default_rng(5)
    items = np.argsort(rng.random((200, 60)), axis=1)[:, :40].astype(np.int32)
    items[rng.random(200) < 0.3, 7:] = -1
    return items, Ragged.from_lists([rng.permutation(60)[: rng.integers(1, 25)] for _ in range(200)])


@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_equal_to_ranx(random_lists, k):
    items, targets = random_lists
    for name in METRICS:
        values = compute(f"{name}@{k}", items, targets)
        np.testing.assert_allclose(values, by_ranx(name, k, items, targets), atol=1e-12, err_msg=name)


def test_a_worked_example():
    items = np.array([[3, 1, 2, 0], [3, 1, 2, -1]], dtype=np.int32)
    targets = Ragged.from_lists([[1, 0, 9], [8]])
    found = compute_all(["ndcg@4", "recall@4", "recall@2", "mrr@4", "map@4", "hit_rate@1"], items, targets)
    log = np.log2
    ideal = 1 + 1 / log(3) + 1 / log(4)
    np.testing.assert_allclose(found["ndcg@4"], [(1 / log(3) + 1 / log(5)) / ideal, 0])
    np.testing.assert_allclose(found["recall@4"], [2 / 3, 0])
    np.testing.assert_allclose(found["recall@2"], [1 / 3, 0])
    np.testing.assert_allclose(found["mrr@4"], [1 / 2, 0])
    np.testing.assert_allclose(found["map@4"], [(1 / 2 + 2 / 4) / 3, 0])
    np.testing.assert_allclose(found["hit_rate@1"], [0, 0])


def test_missed_targets_stay_in_the_denominator():
    items = np.array([[0, 1]], dtype=np.int32)
    few, many = Ragged.from_lists([[0]]), Ragged.from_lists([[0, 50, 60, 70]])
    assert compute("recall@2", items, few)[0] == 1
    assert compute("recall@2", items, many)[0] == 1 / 4
    assert compute("map@2", items, many)[0] == 1 / 4
    assert compute("ndcg@2", items, many)[0] < compute("ndcg@2", items, few)[0] == 1


@given(lists())
@settings(deadline=None)
def test_bounds_and_growth_with_k(case):
    items, targets, k = case
    for name in METRICS:
        value = compute(f"{name}@{k}", items, targets)
        assert value.shape == (len(items),)
        assert ((value >= 0) & (value <= 1 + 1e-12)).all()
        if name != "ndcg":  # its ideal grows with k too
            assert (compute(f"{name}@{k + 1}", items, targets) >= value - 1e-12).all()


@given(lists(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_places_beyond_k_change_nothing(case, random):
    items, targets, k = case
    other = items.copy()
    for row in other:
        tail = list(row[k:])
        random.shuffle(tail)
        row[k:] = tail
    for name in METRICS:
        cut = compute(f"{name}@{k}", items[:, :k], targets)
        np.testing.assert_array_equal(compute(f"{name}@{k}", items, targets), cut)
        np.testing.assert_array_equal(compute(f"{name}@{k}", other, targets), cut)


@given(lists())
@settings(deadline=None)
def test_a_perfect_list_gives_one(case):
    _, targets, k = case
    perfect = targets.last(int(targets.lengths.max()))
    for name in ("ndcg", "mrr", "hit_rate"):
        np.testing.assert_allclose(compute(f"{name}@{k}", perfect, targets), 1)
    for name in ("recall", "map"):
        reached = np.minimum(targets.lengths, k) / targets.lengths
        np.testing.assert_allclose(compute(f"{name}@{k}", perfect, targets), reached)


@given(lists())
@settings(deadline=None)
def test_moving_a_target_forward_never_hurts(case):
    items, targets, k = case
    better = items.copy()
    for row, wanted in zip(better, (targets[i] for i in range(len(targets))), strict=True):
        row[:] = row[np.argsort(~np.isin(row, wanted), kind="stable")]
    for name in METRICS:
        before, after = (compute(f"{name}@{k}", which, targets) for which in (items, better))
        assert (after >= before - 1e-12).all()


def test_a_repeated_item_counts_once_and_no_target_gives_zero():
    items = np.array([[4, 4, 4], [1, 2, 3]], dtype=np.int32)
    targets = Ragged.from_lists([[4, 5], []])
    for name in METRICS:
        assert compute(f"{name}@3", items, targets)[1] == 0
    assert compute("recall@3", items, targets)[0] == 1 / 2
    assert compute("map@3", items, targets)[0] == 1 / 2


def test_empty_input():
    nothing = np.empty((0, 10), dtype=np.int32)
    assert compute("ndcg@10", nothing, Ragged.empty(0)).shape == (0,)
    assert compute("ndcg@10", np.empty((2, 0), dtype=np.int32), Ragged.from_lists([[1], [2]])).tolist() == [
        0,
        0,
    ]


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg", "ndcg@0", "ndcg@-1", "@10", "recall@ten", ""])
def test_a_wrong_name_is_a_config_error(name):
    with pytest.raises(ConfigError, match="ndcg, recall, mrr, map, hit_rate"):
        compute(name, np.zeros((1, 1), np.int32), Ragged.from_lists([[0]]))


def test_the_nearest_name_is_offered_and_lengths_must_agree():
    with pytest.raises(ConfigError, match=r"did you mean ndcg@10\?"):
        compute("ndgc@10", np.zeros((1, 1), np.int32), Ragged.from_lists([[0]]))
    with pytest.raises(DataError, match="1 lists of items but 2"):
        compute("ndcg@10", np.zeros((1, 1), np.int32), Ragged.from_lists([[0], [1]]))
