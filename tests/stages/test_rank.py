"""The rank stage: the ranker's scores, in the order of the house."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funnel.errors import ConfigError
from funnel.ranker import Ranker, RankerConfig, TrainingLists
from funnel.stages import Rank
from funnel.types import Candidates, Ragged, Requests


class ItemColumns:
    """Two features of the item alone; empty places are NaN."""

    names: Any = ("mod", "half")

    def matrix(self, requests: Requests, candidates: Candidates) -> np.ndarray:
        columns = np.stack([candidates.items % 7, candidates.items // 2], axis=-1).astype(np.float32)
        return np.where(candidates.filled[..., None], columns, np.nan)


def ask(n: int) -> Requests:
    none = Ragged.empty(n)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none)


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    items = np.random.default_rng(0).integers(0, 100, (80, 20)).astype(np.int32)
    matrix = np.stack([items % 7, items // 2], axis=-1).astype(np.float32).reshape(-1, 2)
    labels = (items.ravel() % 7 == 3).astype(np.float32)
    lists = TrainingLists(matrix, labels, np.full(80, 20), ("mod", "half"))
    return Ranker.fit(lists, None, RankerConfig(trees=20, leaves=4, threads=1, feature_fraction=1.0))


@pytest.fixture
def candidates() -> Candidates:
    rng = np.random.default_rng(1)
    items = np.stack([rng.permutation(100)[:30] for _ in range(6)]).astype(np.int32)
    items[1, 12:] = -1
    items[2, :] = -1
    scores = np.where(items < 0, -np.inf, -np.arange(30)).astype(np.float32)
    return Candidates(items, scores, ("only",), scores[..., None], np.where(items < 0, -1, 0)[..., None])


def test_orders_by_the_rankers_score(ranker: Ranker, candidates: Candidates) -> None:
    out = Rank(ranker, ItemColumns())(ask(6), candidates)
    for b in range(6):
        own = candidates.items[b][candidates.filled[b]]
        matrix = np.stack([own % 7, own // 2], axis=-1).astype(np.float32)
        scores = ranker.predict(matrix).astype(np.float32)
        expected = own[np.lexsort((own, -scores))]
        assert out.items[b][out.filled[b]].tolist() == expected.tolist()
        np.testing.assert_array_equal(out.scores[b][out.filled[b]], -np.sort(-scores))
    assert (out.items[0, 0] % 7) == 3


def test_a_batch_gives_what_single_calls_give(ranker: Ranker, candidates: Candidates) -> None:
    stage = Rank(ranker, ItemColumns())
    batch = stage(ask(6), candidates)
    for b in range(6):
        single = Candidates(
            candidates.items[b : b + 1], candidates.scores[b : b + 1], candidates.sources,
            candidates.source_scores[b : b + 1], candidates.source_ranks[b : b + 1],
        )  # fmt: skip
        out = stage(ask(1), single)
        np.testing.assert_array_equal(out.items[0], batch.items[b])
        np.testing.assert_array_equal(out.scores[0], batch.scores[b])


def test_nothing_to_rank(ranker: Ranker) -> None:
    assert Rank(ranker, ItemColumns())(ask(3), Candidates.empty(3, ("only",))).items.shape == (3, 0)


def test_other_features_are_refused(ranker: Ranker) -> None:
    other = ItemColumns()
    other.names = ("mod", "third")
    with pytest.raises(ConfigError, match=r"missing \['half'\], unknown \['third'\]"):
        Rank(ranker, other)
