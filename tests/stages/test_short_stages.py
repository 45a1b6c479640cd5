"""Filter, Top and Diversify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.errors import ConfigError
from funnel.stages import Diversify, Filter, Top
from funnel.types import Candidates, Ragged, Requests


def ask(n: int, exclude: list[list[int]] | None = None, allow: np.ndarray | None = None) -> Requests:
    none = Ragged.empty(n)
    barred = None if exclude is None else Ragged.from_lists(exclude)
    given = None if allow is None else Allow.of(np.broadcast_to(allow, (n, allow.shape[-1])))
    return Requests(
        np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none, exclude=barred, allow=given
    )


def ranked(items: list[list[int]], scores: Any = None) -> Candidates:
    rows = np.array(items, dtype=np.int32)
    values = np.broadcast_to(-np.arange(rows.shape[1]), rows.shape) if scores is None else np.array(scores)
    values = np.where(rows < 0, -np.inf, values).astype(np.float32)
    ranks = np.where(rows < 0, -1, np.arange(rows.shape[1])).astype(np.int32)[..., None]
    return Candidates(rows, values, ("only",), np.where(rows < 0, np.nan, values)[..., None], ranks)


CANDIDATES = ranked([[4, 2, 0, 3], [1, 3, -1, -1]])


def test_filter_drops_what_must_not_be_returned_and_keeps_the_order() -> None:
    allow = np.array([True, True, True, False, True])
    out = Filter(10)(ask(2, [[2], [3, 1]], allow), CANDIDATES)
    assert out.items.tolist() == [[4, 0, -1, -1], [-1, -1, -1, -1]]
    assert out.scores[0].tolist() == [0, -2, -np.inf, -np.inf]
    assert out.source_ranks[0, :, 0].tolist() == [0, 2, -1, -1]
    own = np.stack([allow, ~allow])
    assert Filter(10)(ask(2, None, own), CANDIDATES).items.tolist() == [[4, 2, 0, -1], [3, -1, -1, -1]]


def test_filter_cuts_to_the_shortlist_after_filtering() -> None:
    assert Filter(2)(ask(2, [[4], []]), CANDIDATES).items.tolist() == [[2, 0], [1, 3]]
    assert Filter(2)(ask(2), CANDIDATES).items.tolist() == [[4, 2], [1, 3]]


def test_top_keeps_the_first() -> None:
    assert Top(3)(ask(2), CANDIDATES).items.tolist() == [[4, 2, 0], [1, 3, -1]]
    assert Top(30)(ask(2), CANDIDATES).items.tolist() == CANDIDATES.items.tolist()


@pytest.mark.parametrize(
    "make", [Filter, Top, lambda k: Diversify(np.eye(3, dtype=np.float32), 0.5, pool=5, k=k)]
)
def test_less_than_one_position_is_refused(make: Callable[[int], Any]) -> None:
    for k in (0, -1):
        with pytest.raises(ConfigError, match=f"is {k}; it must be a whole number of at least 1"):
            make(k)
    stage = make(3)
    assert stage(ask(2), Candidates.empty(2, ("only",))).items.shape == (2, 0)
    assert stage(ask(0), Candidates.empty(0, ("only",))).items.shape == (0, 0)


def slow_mmr(
    vectors: np.ndarray, items: list[int], scores: np.ndarray, trade_off: float, k: int
) -> list[int]:
    """Maximal marginal relevance as the paper has it, with sets."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    relevance = dict(zip(items, (scores - scores.min()) / (scores.max() - scores.min()), strict=True))
    chosen: list[int] = []
    while len(chosen) < min(k, len(items)):
        left = [item for item in items if item not in chosen]
        near = {i: max((float(unit[i] @ unit[j]) for j in chosen), default=-1.0) for i in left}
        chosen.append(max(left, key=lambda i: (trade_off * relevance[i] - (1 - trade_off) * near[i], -i)))
    return chosen


@pytest.mark.parametrize("trade_off", [0.0, 0.3, 0.7, 0.95])
def test_diversify_equals_a_slow_mmr(vectors: np.ndarray, trade_off: float) -> None:
    rng = np.random.default_rng(5)
    items = np.stack([rng.permutation(200)[:30] for _ in range(20)])
    scores = -np.sort(-rng.normal(size=(20, 30)).astype(np.float32), axis=1)
    out = Diversify(vectors, trade_off, pool=25, k=12)(ask(20), ranked(items.tolist(), scores))
    for b in range(20):
        assert out.items[b].tolist() == slow_mmr(
            vectors, items[b, :25].tolist(), scores[b, :25], trade_off, 12
        )
    assert (np.diff(out.scores, axis=1) <= 1e-6).all()
    one = Diversify(vectors, trade_off, pool=25, k=12)(ask(1), ranked(items[3:4].tolist(), scores[3:4]))
    np.testing.assert_array_equal(one.scores[0], out.scores[3])


def slow_dpp(
    vectors: np.ndarray, items: list[int], scores: np.ndarray, trade_off: float, k: int
) -> list[int]:
    """The greedy list by determinants of the whole kernel."""
    unit = vectors[items] / np.linalg.norm(vectors[items], axis=1, keepdims=True)
    relevance = (scores - scores.min()) / (scores.max() - scores.min())
    quality = np.exp(trade_off / (2 * (1 - trade_off)) * relevance.astype(np.float64))
    kernel = quality[:, None] * (1 + unit.astype(np.float64) @ unit.T.astype(np.float64)) / 2 * quality
    chosen: list[int] = []
    while len(chosen) < k:
        left = [place for place in range(len(items)) if place not in chosen]
        volume = {j: round(np.linalg.slogdet(kernel[np.ix_([*chosen, j], [*chosen, j])])[1], 6) for j in left}
        chosen.append(max(left, key=lambda j: (volume[j], -items[j])))
    return [items[place] for place in chosen]


@pytest.mark.parametrize("trade_off", [0.0, 0.3, 0.7, 0.95])
def test_a_determinantal_process_equals_a_slow_one(vectors: np.ndarray, trade_off: float) -> None:
    rng = np.random.default_rng(5)
    items = np.stack([rng.permutation(200)[:30] for _ in range(20)])
    scores = -np.sort(-rng.normal(size=(20, 30)).astype(np.float32), axis=1)
    out = Diversify(vectors, trade_off, pool=25, k=6, kind="dpp")(ask(20), ranked(items.tolist(), scores))
    for b in range(20):
        assert out.items[b].tolist() == slow_dpp(
            vectors, items[b, :25].tolist(), scores[b, :25], trade_off, 6
        )
    assert (np.diff(out.scores, axis=1) <= 1e-6).all()


@pytest.mark.parametrize("kind", ["mmr", "dpp"])
@pytest.mark.parametrize("trade_off", [0.0, 0.3, 0.9])
def test_what_stands_behind_stays_there_whatever_its_numbers(
    vectors: np.ndarray, trade_off: float, kind: Any
) -> None:
    """Their scores are made up; those of the first tier are values."""
    rng = np.random.default_rng(5)
    items = np.stack([rng.permutation(200)[:30] for _ in range(20)])
    ahead = -np.sort(-rng.normal(size=(20, 12)).astype(np.float32), axis=1)
    behind = -np.sort(-rng.normal(size=(20, 18)).astype(np.float32), axis=1)
    tiers = np.repeat(np.array([[0] * 12 + [1] * 10 + [2] * 8], dtype=np.int8), 20, axis=0)
    lists = []
    for fall in (1.0, 1000.0):
        scores = np.concatenate([ahead, ahead[:, -1:] - fall * (1 + behind[:, :1] - behind)], axis=1)
        before = replace(ranked(items.tolist(), scores), tiers=tiers)
        out = Diversify(vectors, trade_off, pool=25, k=25, kind=kind)(ask(20), before)
        assert out.tiers is not None
        assert (np.diff(out.tiers, axis=1) >= 0).all()
        assert (np.diff(out.scores, axis=1) <= 1e-6).all()
        lists.append(out.items.tolist())
    assert lists[0] == lists[1]
    alone = ranked(items[:, :12].tolist(), ahead)
    first = Diversify(vectors, trade_off, pool=12, k=12, kind=kind)(ask(20), alone)
    assert first.items.tolist() == [some[:12] for some in lists[0]]


def test_twins_and_what_adds_nothing_come_behind_in_their_order() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 1], [3, 0]], dtype=np.float32)
    before = ranked([[0, 1, 3, 2], [3, -1, -1, -1]], [[1, 0.9, 0.8, 0], [7, 0, 0, 0]])
    out = Diversify(vectors, 0.5, pool=4, k=4, kind="dpp")(ask(2), before)
    assert out.items.tolist() == [[0, 2, 1, 3], [3, -1, -1, -1]]
    assert (np.diff(out.scores[0]) <= 0).all()


@pytest.mark.parametrize("kind", ["mmr", "dpp"])
def test_what_is_behind_the_pool_stays_behind_it(vectors: np.ndarray, kind: Any) -> None:
    rng = np.random.default_rng(7)
    before = ranked([rng.permutation(200)[:30].tolist(), [*rng.permutation(200)[:12].tolist(), *[-1] * 18]])
    out = Diversify(vectors, 0.3, pool=10, k=25, kind=kind)(ask(2), before)
    pool = Diversify(vectors, 0.3, pool=10, k=10, kind=kind)(ask(2), before)
    assert out.items[:, :10].tolist() == pool.items.tolist()
    assert out.items[:, 10:].tolist() == before.items[:, 10:25].tolist()
    assert (np.diff(out.scores[0]) <= 1e-6).all(), out.scores[0]
    assert np.isneginf(out.scores[1, 12:]).all()


def test_trade_off_one_changes_nothing(vectors: np.ndarray) -> None:
    items = [np.random.default_rng(6).permutation(200)[:30].tolist()]
    before = ranked(items)
    out = Diversify(vectors, 1.0, pool=25, k=25)(ask(1), before)
    np.testing.assert_array_equal(out.items, before.items[:, :25])
    np.testing.assert_array_equal(out.scores, before.scores[:, :25])


def test_twins_are_pulled_apart_and_short_lists_stay_short() -> None:
    vectors = np.array([[1, 0], [2, 0], [0, 1], [0, 0]], dtype=np.float32)
    before = ranked([[0, 1, 2, 3], [3, -1, -1, -1]], [[1, 0.9, 0.8, 0], [7, 0, 0, 0]])
    out = Diversify(vectors, 0.5, pool=4, k=3)(ask(2), before)
    assert out.items.tolist() == [[0, 2, 3], [3, -1, -1]]
    assert np.isneginf(out.scores[1, 1:]).all()
    assert out.source_ranks[0, :, 0].tolist() == [0, 2, 3]


def test_equal_scores_are_no_reason_to_fail() -> None:
    vectors = np.eye(3, dtype=np.float32)
    out = Diversify(vectors, 0.5, pool=3, k=3)(ask(1), ranked([[0, 1, 2]], [[2, 2, 2]]))
    assert out.items.tolist() == [[0, 1, 2]]
    flat = replace(out, scores=np.full((1, 3), -np.inf, dtype=np.float32))
    assert Diversify(vectors, 0.5, pool=3, k=3)(ask(1), flat).items.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("trade_off", [-0.1, 1.1, np.nan])
def test_trade_off_is_checked(trade_off: float) -> None:
    with pytest.raises(ConfigError, match="within 0 and 1"):
        Diversify(np.eye(3, dtype=np.float32), trade_off, pool=3, k=3)
