"""Sources against loops: k items wherever k pass, in order, nothing that must not be returned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.errors import ConfigError
from funnel.index import FaissIndex, IndexConfig
from funnel.stages import CovisitationSource, PopularSource, TowerSource
from funnel.types import Log, Ragged, Requests

ALLOWS = ["all", "shared", "own", "none"]


def with_allow(requests: Requests, kind: str, n: int) -> Requests:
    rng = np.random.default_rng(3)
    masks = {
        "all": None,
        "shared": Allow.of(rng.random(n) < 0.3, len(requests)),
        "own": Allow.of(rng.random((len(requests), n)) < 0.3),
        "none": Allow.of(np.zeros(n, dtype=np.bool_), len(requests)),
    }
    return replace(requests, allow=masks[kind])


def passing(requests: Requests, b: int, n: int) -> np.ndarray:
    mask = np.ones(n, dtype=np.bool_)
    if requests.allow is not None:
        mask &= requests.allow.masks()[b]
    if requests.exclude is not None:
        mask[requests.exclude[b]] = False
    return np.flatnonzero(mask)


def one_by_one(source: Any, requests: Requests, k: int) -> tuple[np.ndarray, np.ndarray]:
    found = [source.find(requests.take(np.array([b])), k) for b in range(len(requests))]
    return np.concatenate([rows for rows, _ in found]), np.concatenate([scores for _, scores in found])


@pytest.mark.parametrize("allow", ALLOWS)
@pytest.mark.parametrize("k", [1, 30, 300])
def test_towers_return_the_best_that_pass(
    encoder: Any, index: Any, vectors: np.ndarray, requests: Requests, allow: str, k: int
) -> None:
    asked = with_allow(requests, allow, len(vectors))
    rows, scores = TowerSource(encoder, index).find(asked, k)
    assert rows.shape == scores.shape == (len(requests), k)
    exact = encoder.encode(asked) @ vectors.T
    for b in range(len(requests)):
        good = passing(asked, b, len(vectors))
        expected = good[np.argsort(-exact[b, good], kind="stable")][:k]
        assert rows[b, : len(expected)].tolist() == expected.tolist()
        np.testing.assert_allclose(scores[b, : len(expected)], exact[b, expected], rtol=1e-5, atol=1e-5)
        assert (rows[b, len(expected) :] == -1).all()
        assert np.isneginf(scores[b, len(expected) :]).all()


@pytest.mark.parametrize("allow", ALLOWS)
def test_popular_returns_the_most_frequent_that_pass(
    statistics: Any, log: Log, requests: Requests, allow: str
) -> None:
    asked = with_allow(requests, allow, 200)
    rows, scores = PopularSource(statistics).find(asked, 30)
    events = np.bincount(log.items, minlength=200)
    for b in range(len(requests)):
        good = passing(asked, b, 200)
        order = np.argsort(-events[good], kind="stable")
        expected = good[order][events[good][order] > 0][:30]
        assert rows[b, : len(expected)].tolist() == expected.tolist()
        assert scores[b, : len(expected)].tolist() == events[expected].tolist()
        assert (rows[b, len(expected) :] == -1).all()
        assert np.isneginf(scores[b, len(expected) :]).all()


@pytest.mark.parametrize("allow", ALLOWS)
def test_covisitation_returns_companions_that_pass(statistics: Any, requests: Requests, allow: str) -> None:
    asked = with_allow(requests, allow, 200)
    rows, scores = CovisitationSource(statistics).find(asked, 30)
    every = np.broadcast_to(np.arange(200, dtype=np.int32), (len(requests), 200))
    exact = np.nan_to_num(statistics.covisitation.scores(requests.history, every))
    for b in range(len(requests)):
        good = passing(asked, b, 200)
        order = np.lexsort((good, -exact[b, good]))
        expected = good[order][exact[b, good][order] > 0][:30]
        assert rows[b, : len(expected)].tolist() == expected.tolist()
        np.testing.assert_allclose(scores[b, : len(expected)], exact[b, expected], rtol=1e-6)
        assert (rows[b, len(expected) :] == -1).all()
    assert (rows[requests.history.lengths == 0] == -1).all()


@pytest.mark.parametrize("allow", ALLOWS)
def test_a_batch_gives_what_single_calls_give(
    encoder: Any, index: Any, statistics: Any, requests: Requests, allow: str
) -> None:
    asked = with_allow(requests, allow, 200)
    sources = TowerSource(encoder, index), PopularSource(statistics), CovisitationSource(statistics)
    for source in sources:
        rows, scores = source.find(asked, 25)
        single_rows, single_scores = one_by_one(source, asked, 25)
        np.testing.assert_array_equal(rows, single_rows)
        np.testing.assert_array_equal(scores, single_scores)
        assert source.find(asked.take(np.array([], dtype=np.int64)), 25)[0].shape == (0, 25)


def test_what_an_index_overlooks_is_found_exactly(encoder: Any, rough: Any, requests: Requests) -> None:
    blind = replace(rough, blind=tuple(range(0, 200, 2)))
    asked = replace(requests.take(np.array([2, 3])), exclude=Ragged.from_lists([range(1, 200, 2), []]))
    rows, _ = TowerSource(encoder, blind).find(asked, 10)
    assert (rows[0] % 2 == 0).all()
    assert (rows[1] % 2 == 1).all()


def test_one_long_exclusion_does_not_make_all_searches_long(
    encoder: Any, rough: Any, requests: Requests
) -> None:
    TowerSource(encoder, rough).find(requests.take(np.array([0, 1, 2, 4])), 10)
    assert sorted(rough.asked) == [(1, 10), (1, 138), (2, 26)]


@pytest.mark.parametrize("spec", ["Flat", "IVF4,PQ4x4fs"])
def test_what_an_index_finds_has_the_score_that_any_item_gets(
    encoder: Any, requests: Requests, spec: str
) -> None:
    config = IndexConfig(spec=spec, recall=0.5, params={"nprobe": 2} if spec != "Flat" else {})
    index = FaissIndex.build(encoder.item_vectors, config, encoder.encode(requests))
    source = TowerSource(encoder, index)
    rows, scores = source.find(requests, 10)
    assert (rows >= 0).any()
    np.testing.assert_array_equal(scores, source.score(requests, rows))
    products = encoder.encode(requests).astype(np.float64) @ encoder.item_vectors.astype(np.float64).T
    for row, found in enumerate(rows):
        near = products[row, found[found >= 0]]
        np.testing.assert_allclose(scores[row, found >= 0], near, rtol=1e-5, atol=1e-5)
        assert (np.diff(scores[row, found >= 0]) <= 0).all()


def test_towers_refuse_an_index_of_other_items(encoder: Any, rough: Any) -> None:
    with pytest.raises(ConfigError, match="holds 150 items, the towers have 200"):
        TowerSource(encoder, replace(rough, vectors=rough.vectors[:150]))
