"""Rows that stand for several: gradients and NDCG are those of the lists in which each stands for itself."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.ranker import RankerConfig, graded_ndcg
from funnel.ranker.objective import Graded, Gradients
from funnel.ranker.sampling import kept_negatives
from tests.ranker.test_ranker import SMALL, TRAIN

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, sizes: list[int]) -> tuple[Graded, np.ndarray]:
    """Lists with grades 0 to 2, rows that stand for 1 to 4, and scores."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    labels = rng.integers(0, 3, n).astype(np.float32)
    weights = np.where(labels > 0, 1, rng.integers(1, 5, n)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Graded(labels, weights, offsets), rng.normal(size=n)


def repeated(lists: Graded, scores: np.ndarray) -> tuple[Graded, np.ndarray, np.ndarray]:
    """Each row as many times as it stands for; the row that each is a copy of."""
    copies = np.repeat(np.arange(len(scores)), lists.weights.astype(int))
    ends = np.concatenate([[0], np.cumsum(lists.weights)]).astype(np.int64)[lists.offsets]
    return Graded(lists.labels[copies], np.ones(len(copies), np.float32), ends), scores[copies], copies


@settings(deadline=None)  # the first call compiles
@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_row_that_stands_for_several_pulls_as_they_do(seed: int, sizes: list[int]) -> None:
    lists, scores = drawn(seed, sizes)
    whole, every, of = repeated(lists, scores)
    config = RankerConfig(objective="rank_xendcg")
    long = np.flatnonzero(np.diff(whole.offsets) > 1)
    one = [row for row in long if np.diff(lists.offsets)[row] == 1]  # a list of one row has no order to learn
    kept = ~np.isin(np.repeat(np.arange(len(sizes)), sizes), one)
    for ours, theirs in zip(Gradients(config, lists)(scores), Gradients(config, whole)(every), strict=True):
        together = np.bincount(of, theirs, len(scores))
        np.testing.assert_allclose(ours[kept], together[kept], atol=1e-9)


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_the_gradient_of_xe_ndcg_leads_towards_what_was_taken(seed: int) -> None:
    lists, scores = drawn(seed, [8, 12])
    gradient, hessian = Gradients(RankerConfig(objective="rank_xendcg"), lists)(scores)
    assert (hessian > 0).all()

    def loss(at: np.ndarray) -> float:
        total = 0.0
        for start, stop in zip(lists.offsets[:-1], lists.offsets[1:], strict=True):
            w, s, y = lists.weights[start:stop], at[start:stop], lists.labels[start:stop]
            wanted = w * (2.0**y - 0.5)
            total -= float(wanted / wanted.sum() @ (s - np.log(np.sum(w * np.exp(s)))))
        return total

    assert loss(scores - 1e-4 * gradient) < loss(scores)


@pytest.mark.parametrize("objective", ["rank_xendcg", "lambdarank"])
def test_a_list_of_one_row_has_no_order_to_learn(objective: str) -> None:
    lists = Graded(np.ones(1, np.float32), np.ones(1, np.float32), np.array([0, 1]))
    for found in Gradients(RankerConfig(objective=objective), lists)(np.array([3.0])):
        assert found.tolist() == [0.0]


def test_lambdarank_of_rows_that_stand_for_themselves_is_lightgbms() -> None:
    config = RankerConfig(**SMALL, objective="lambdarank")
    parameters = {"objective": "lambdarank", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 20}
    labels = np.random.default_rng(0).integers(0, 3, len(TRAIN.labels)).astype(np.float32)
    lists = Graded(labels, TRAIN.weights, Graded.of(TRAIN).offsets)
    predicted = []
    for own in (None, Gradients(config, lists)):
        data = lightgbm.Dataset(TRAIN.matrix, labels, group=TRAIN.sizes)
        booster = lightgbm.Booster(parameters, data)
        for _ in range(5):
            booster.update(fobj=own)
        predicted.append(booster.predict(TRAIN.matrix, raw_score=True))
    assert np.ptp(predicted[0]) > 0.1
    np.testing.assert_allclose(*predicted, atol=2e-3)  # LightGBM reads its sigmoid from a table


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_ndcg_of_rows_that_stand_for_themselves_is_the_graded_one(seed: int) -> None:
    lists, scores = drawn(seed, [5, 30, 12])
    scores = np.round(scores, 1)  # some are equal
    alone = Graded(lists.labels, np.ones_like(lists.weights), lists.offsets)
    assert alone.ndcg(scores)[1] == pytest.approx(
        graded_ndcg(scores, lists.labels, np.diff(lists.offsets)).mean()
    )


def test_a_place_is_behind_all_that_those_above_stand_for() -> None:
    lists = Graded(np.array([0, 0, 1], np.float32), np.array([2.5, 4, 1], np.float32), np.array([0, 3]))
    assert lists.ndcg(np.array([3.0, 1.0, 2.0]))[1] == pytest.approx(1 / np.log2(2 + 2.5))
    assert lists.ndcg(np.array([3.0, 2.0, 1.0]))[1] == pytest.approx(1 / np.log2(2 + 6.5))
    far = Graded(lists.labels, np.array([6, 4, 1], np.float32), lists.offsets)
    assert far.ndcg(np.array([3.0, 2.0, 1.0]))[1] == 0


@settings(deadline=None)  # the first call compiles
@given(SEEDS, st.integers(2, 12))
def test_what_is_kept_stands_for_all_negatives(seed: int, cap: int) -> None:
    negative = np.random.default_rng(seed).random((4, 30)) < 0.7
    weights = kept_negatives(negative, cap, seed)
    np.testing.assert_allclose(weights.sum(axis=1), negative.sum(axis=1), rtol=1e-6)
    assert (weights[~negative] == 0).all()
    assert ((weights > 0).sum(axis=1) == np.minimum(cap, negative.sum(axis=1))).all()
