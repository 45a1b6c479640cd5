"""All stages with the real features, index and ranker: from a log to ten items."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.engine import Funnel
from funnel.features import CandidateFeatures, FeaturesConfig
from funnel.ranker import Ranker, RankerConfig, training_lists
from funnel.stages import (
    CovisitationSource,
    Diversify,
    Filter,
    PopularSource,
    Rank,
    Retrieve,
    TowerSource,
)
from funnel.types import Ragged, Requests


@pytest.fixture
def funnel(encoder: Any, index: Any, statistics: Any, vectors: np.ndarray, requests: Requests) -> Funnel:
    sources = [TowerSource(encoder, index), CovisitationSource(statistics), PopularSource(statistics)]
    retrieve, shorten = Retrieve(sources, 60, {"popular": 0.5}), Filter(80)
    features = CandidateFeatures(FeaturesConfig(), statistics, {}, vectors, {}, {})
    shortlist = shorten(requests, retrieve(requests))
    taken = Ragged.from_lists([row[row % 3 == 0] for row in shortlist.items])
    config = RankerConfig(trees=20, min_data_in_leaf=5, missed="append", threads=1)
    lists = training_lists(requests, shortlist, taken, features, config, complete=retrieve.complete)
    ranker = Ranker.fit(lists, None, config)
    return Funnel([retrieve, shorten, Rank(ranker, features), Diversify(vectors, 0.8, pool=30, k=10)])


def test_every_stage_narrows_and_a_batch_gives_what_single_calls_give(
    funnel: Funnel, requests: Requests
) -> None:
    steps = funnel.trace(requests)
    assert [step.name for step in steps] == ["retrieve", "filter", "rank", "diversify"]
    for before, after in itertools.pairwise(steps):
        for b in range(len(requests)):
            assert set(after.candidates.items[b]) <= {*before.candidates.items[b], -1}
    final = steps[-1].candidates
    assert final.items.shape == (len(requests), 10)
    for b in range(len(requests)):
        assert not set(final.items[b]) & set(requests.history[b])
        one = funnel(requests.take(np.array([b])))
        width = one.items.shape[1]
        np.testing.assert_array_equal(one.items[0], final.items[b, :width])
        np.testing.assert_array_equal(one.scores[0], final.scores[b, :width])
        assert (final.items[b, width:] == -1).all()


def test_nothing_may_be_returned(funnel: Funnel, requests: Requests) -> None:
    assert not funnel(
        replace(requests, allow=Allow.of(np.zeros(200, dtype=np.bool_), len(requests)))
    ).filled.any()
