"""Retrieval: the union of sources, its order, and what is kept of each source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow
from funnel.errors import ConfigError
from funnel.stages import CovisitationSource, PopularSource, Retrieve, TowerSource, source_weights
from funnel.types import Candidates, Ragged, Requests, Shown


@dataclass
class Fixed:
    """A source that returns what it was given."""

    name: str
    lists: list[list[int]]

    def find(self, requests: Requests, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(self.lists), k), -1, dtype=np.int32)
        for b, own in enumerate(self.lists):
            rows[b, : len(own)] = own[:k]
        return rows, np.where(rows < 0, -np.inf, 10.0 - np.arange(k)).astype(np.float32)


def ask(n: int) -> Requests:
    none = Ragged.empty(n)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none)


def slow_fusion(lists: list[list[int]], weights: list[float]) -> list[int]:
    """Reciprocal rank fusion with dictionaries, in float32 as the stage adds up."""
    scores: dict[int, np.float32] = {}
    for own, weight in zip(lists, weights, strict=True):
        for rank, item in enumerate(own):
            scores[item] = np.float32(scores.get(item, np.float32(0)) + np.float32(weight / (61.0 + rank)))
    return sorted(scores, key=lambda item: (-scores[item], item))


LISTS = st.lists(st.integers(0, 30), max_size=8, unique=True)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.tuples(LISTS, LISTS, LISTS), min_size=1, max_size=5), st.tuples(*[st.floats(0, 2)] * 3))
def test_union_and_order_equal_a_slow_fusion(
    batch: list[tuple[list[int], ...]], weights: tuple[float, float, float]
) -> None:
    names = ("a", "b", "c")
    sources = [Fixed(name, [lists[s] for lists in batch]) for s, name in enumerate(names)]
    out = Retrieve(sources, 8, dict(zip(names, weights, strict=True)))(ask(len(batch)))
    check(out)
    for b, lists in enumerate(batch):
        expected = slow_fusion(list(lists), list(weights))
        assert out.items[b][out.filled[b]].tolist() == expected
        for s, own in enumerate(lists):
            ranks = [own.index(item) if item in own else -1 for item in expected]
            assert out.source_ranks[b, : len(expected), s].tolist() == ranks
            scores = [10.0 - r if r >= 0 else np.nan for r in ranks]
            np.testing.assert_array_equal(out.source_scores[b, : len(expected), s], scores)


def check(candidates: Candidates) -> None:
    """What every list of the house keeps to."""
    items, scores, filled = candidates.items, candidates.scores, candidates.filled
    assert (filled[:, :-1] >= filled[:, 1:]).all()
    pair = filled[:, 1:]
    higher = scores[:, :-1] > scores[:, 1:]
    tie = (scores[:, :-1] == scores[:, 1:]) & (items[:, :-1] < items[:, 1:])
    assert (higher | tie)[pair].all()
    assert np.isneginf(scores[~filled]).all()
    assert np.isnan(candidates.source_scores[~filled]).all()
    assert (candidates.source_ranks[~filled] == -1).all()
    for row, full in zip(items, filled, strict=True):
        assert len(set(row[full])) == full.sum()


@pytest.fixture
def retrieve(encoder: Any, index: Any, statistics: Any) -> Retrieve:
    sources = [TowerSource(encoder, index), CovisitationSource(statistics), PopularSource(statistics)]
    return Retrieve(sources, 40, {"covisitation": 0.8, "popular": 0.3})


def test_towers_score_every_candidate(
    retrieve: Retrieve, encoder: Any, vectors: np.ndarray, requests: Requests
) -> None:
    out = retrieve(requests)
    check(out)
    exact = np.take_along_axis(encoder.encode(requests) @ vectors.T, np.maximum(out.items, 0), axis=1)
    np.testing.assert_allclose(out.source_scores[..., 0][out.filled], exact[out.filled], rtol=1e-5, atol=1e-5)
    assert (out.source_ranks[..., 0][out.filled] == -1).any()


def test_a_batch_gives_what_single_calls_give(retrieve: Retrieve, requests: Requests) -> None:
    batch = retrieve(requests)
    for b in range(len(requests)):
        one = retrieve(requests.take(np.array([b])))
        width = one.items.shape[1]
        for name in ("items", "scores", "source_scores", "source_ranks"):
            np.testing.assert_array_equal(getattr(batch, name)[b, :width], getattr(one, name)[0])
        assert not batch.filled[b, width:].any()


def test_everything_excluded_or_no_request(retrieve: Retrieve, requests: Requests) -> None:
    nothing = replace(requests, allow=Allow.of(np.zeros(200, dtype=np.bool_), len(requests)))
    assert retrieve(nothing).items.shape == (40, 0)
    assert retrieve(requests.take(np.array([], dtype=np.int64))).items.shape == (0, 0)


def test_k_beyond_the_catalogue_returns_the_catalogue(encoder: Any, index: Any, requests: Requests) -> None:
    out = Retrieve([TowerSource(encoder, index)], 1000)(replace(requests, exclude=None))
    assert np.sort(out.items, axis=1).tolist() == [list(range(200))] * 40


def test_complete_fills_the_towers_score_only(retrieve: Retrieve, requests: Requests) -> None:
    out = retrieve(requests)
    nowhere = np.full_like(out.source_ranks, -1)  # as what is appended
    forgotten = replace(out, source_scores=np.full_like(out.source_scores, np.nan), source_ranks=nowhere)
    filled = retrieve.complete(requests, forgotten)
    np.testing.assert_array_equal(filled.source_scores[..., 0], out.source_scores[..., 0])
    assert np.isnan(filled.source_scores[..., 1:]).all()
    assert np.isnan(forgotten.source_scores).all()


def test_a_source_without_weight_comes_last() -> None:
    sources = [Fixed("good", [[5, 6]]), Fixed("bad", [[1, 6, 2]])]
    out = Retrieve(sources, 5, {"good": 1.0, "bad": 0.0})(ask(1))
    assert out.items.tolist() == [[5, 6, 1, 2]]


def test_what_cannot_work_is_refused() -> None:
    one = Fixed("one", [[1]])
    for k in (0, -3, 2.5, True):
        with pytest.raises(ConfigError, match="k of retrieve"):
            Retrieve([one], k)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at least one is needed"):
        Retrieve([], 5)
    with pytest.raises(ConfigError, match="each name once"):
        Retrieve([one, one], 5)
    with pytest.raises(ConfigError, match=r"weights for \['two'\]"):
        Retrieve([one], 5, {"two": 1.0})
    for weight in (-1.0, np.nan):
        with pytest.raises(ConfigError, match="at least 0"):
            Retrieve([one], 5, {"one": weight})


def test_source_weights_are_relative_ndcg() -> None:
    targets = Ragged.from_lists([[1, 2], [3], []])
    lists = {
        "best": np.array([[1, 2, 9], [3, 1, 2], [1, 2, 3]], dtype=np.int32),
        "half": np.array([[1, 2, 9], [1, 2, -1], [1, 2, 3]], dtype=np.int32),
        "late": np.array([[9, 1, -1], [9, 8, 7], [-1, -1, -1]], dtype=np.int32),
        "lost": np.array([[9, 8, 7], [-1, -1, -1], [4, 5, 6]], dtype=np.int32),
    }
    weights = source_weights(lists, targets)
    late = (1 / np.log2(3)) / (1 + 1 / np.log2(3)) / 2
    assert weights == pytest.approx({"best": 1.0, "half": 0.5, "late": late, "lost": 0.0})
    assert source_weights({"lost": lists["lost"]}, targets) == {"lost": 1.0}


@settings(deadline=None)
@given(st.lists(LISTS.filter(any), min_size=1, max_size=4), st.integers(0, 99))
def test_what_is_shown_is_all_that_is_ranked(shown: list[list[int]], seed: int) -> None:
    """Each source orders the list by its own scores, an item without one stands behind."""
    rng = np.random.default_rng(seed)
    tables = {name: np.where(rng.random(31) < 0.3, -np.inf, rng.random(31)) for name in ("a", "b")}

    @dataclass
    class Scores:
        name: str

        def find(self, requests: Requests, k: int) -> Any:
            raise AssertionError("nothing is searched")

        def score(self, requests: Requests, items: np.ndarray) -> np.ndarray:
            return np.where(items < 0, -np.inf, tables[self.name][items]).astype(np.float32)

    requests = replace(ask(len(shown)), shown=Shown(Ragged.from_lists(shown)))
    out = Retrieve([Scores("a"), Scores("b")], 3, {"b": 0.5})(requests)
    check(out)
    for b, items in enumerate(shown):
        ranked = [
            sorted((i for i in items if table[i] > -np.inf), key=lambda i, t=table: (-np.float32(t[i]), i))
            for table in tables.values()
        ]
        rest = [i for i in items if not any(i in own for own in ranked)]
        expected = slow_fusion(ranked, [1.0, 0.5]) + sorted(rest)
        assert out.items[b][out.filled[b]].tolist() == expected


def test_the_sources_score_what_is_shown_as_they_score_what_they_find(
    requests: Requests, encoder: Any, index: Any, statistics: Any
) -> None:
    sources = [TowerSource(encoder, index), CovisitationSource(statistics), PopularSource(statistics)]
    free = replace(requests, exclude=None)
    for source in sources:
        rows, scores = source.find(free, 20)
        again = source.score(free, rows)
        np.testing.assert_allclose(again, scores, rtol=1e-5)


def test_what_is_shown_and_excluded_is_not_returned(requests: Requests, encoder: Any, index: Any) -> None:
    lists = Ragged.from_lists([range(10)] * len(requests))
    out = Retrieve([TowerSource(encoder, index)], 5)(replace(requests, shown=Shown(lists)))
    assert requests.exclude is not None
    for b in range(len(requests)):
        expected = set(range(10)) - set(requests.exclude[b].tolist())
        assert set(out.items[b][out.filled[b]].tolist()) == expected


def test_what_goes_by_events_is_no_evidence_against_an_item_without_one() -> None:
    """Item 5 is first by its columns and unknown to two sources; what they know stands where it stood."""
    sources = [Fixed("near", [[5, 1, 2, 3]]), Fixed("met", [[9, 8, 7, 1]]), Fixed("popular", [[6, 4, 2]])]
    for source in sources[1:]:
        source.by_events = True  # type: ignore[attr-defined]
    asked: list[tuple[list[int], list[int]]] = []

    def unseen(items: np.ndarray, times: np.ndarray) -> np.ndarray:
        asked.append((items.tolist(), times.tolist()))
        return items == 5

    plain = Retrieve(sources, 4)(ask(1))
    fair = Retrieve(sources, 4, unseen=unseen)(ask(1))
    assert plain.items[0].tolist()[:2] == [1, 2]
    assert fair.items[0].tolist()[:3] == [5, 1, 2]
    assert [one for one in fair.items[0] if one != 5] == [one for one in plain.items[0] if one != 5]
    # As if each of three sources, by half the two that cannot know it, had it first.
    assert fair.scores[0, 0] == pytest.approx((1 + 0.5 * 2) / 61)
    assert [(sorted(items), set(times)) for items, times in asked] == [([3, 5], {0})]
    assert fair.source_ranks[0, 0].tolist() == [0, -1, -1]


def test_a_source_without_weight_does_not_speak_for_others() -> None:
    sources = [Fixed("near", [[5, 1]]), Fixed("met", [[1, 2, 3, 4]])]
    sources[1].by_events = True  # type: ignore[attr-defined]
    weights = {"near": 1e-6, "met": 1.0}
    out = Retrieve(sources, 4, weights, unseen=lambda items, times: items == 5)(ask(1))
    assert out.items[0].tolist()[:5] == [1, 2, 3, 4, 5]


def test_an_item_stands_in_a_given_list_as_retrieval_has_it() -> None:
    sources = [Scored("near", [[5, 1, 2, 3]]), Scored("met", [[1, 2, 9]])]
    sources[1].by_events = True  # type: ignore[attr-defined]
    retrieve = Retrieve(sources, 4, unseen=lambda items, times: items == 5)
    found, placed = retrieve.positions(ask(1), np.array([[3, 5, 8]], dtype=np.int32))
    assert placed.items[0].tolist() == [5, 3, 8]
    score = dict(zip(found.items[0].tolist(), found.scores[0].tolist(), strict=True))
    assert placed.scores[0].tolist()[:2] == [score[5], score[3]]


@dataclass
class Scored(Fixed):
    """The same, which scores any item as it would find it."""

    def score(self, requests: Requests, items: np.ndarray) -> np.ndarray:
        own = {item: 10.0 - rank for rank, item in enumerate(self.lists[0])}
        return np.array([[own.get(item, -np.inf) for item in row] for row in items.tolist()], np.float32)
