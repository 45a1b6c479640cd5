"""Scores and the best k of neighbour lists, against sums made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow
from funnel.features import Neighbours, fit_covisitation
from funnel.types import Log, Ragged
from tests.features.worlds import make_log, slow_scores

N = 60
NEIGHBOURS = fit_covisitation(make_log(), n=12)
HISTORY = Ragged.from_lists(
    [[], [3], [0, 1, 2, 3], [-1, 5, -1], [-1, -1], [7, 7, 7], list(range(N)) * 2, [N, 10**6, 4]]
)
EXCLUDE = Ragged.from_lists([[], [0, -1, 3, 0], [1, 2], [5, N - 1], [9], [7], list(range(0, N, 2)), [4]])


@pytest.mark.parametrize("decay", [None, 1.0, 0.5])
@pytest.mark.parametrize("k", [0, 1, 7, 200])
@pytest.mark.parametrize("masked", ["none", "shared", "own"])
def test_top_is_the_slow_order_without_what_is_barred(decay: float | None, k: int, masked: str) -> None:
    allow = np.random.default_rng(0).random((len(HISTORY), N)) < 0.6
    mask = {"none": None, "shared": allow[0], "own": allow}[masked]
    given = {"none": None, "shared": Allow.of(allow[0], len(HISTORY)), "own": Allow.of(allow)}[masked]
    rows, scores = NEIGHBOURS.top(HISTORY, k, decay=decay, exclude=EXCLUDE, allow=given)
    assert rows.shape == scores.shape == (len(HISTORY), k)
    for row in range(len(HISTORY)):
        slow = slow_scores(NEIGHBOURS, HISTORY[row], NEIGHBOURS.decay if decay is None else decay)
        slow = slow.astype(np.float32)
        slow[[item for item in EXCLUDE[row] if item >= 0]] = 0
        if mask is not None:
            slow[~np.broadcast_to(mask, allow.shape)[row]] = 0
        order = [item for item in np.argsort(-slow, kind="stable") if slow[item] > 0][:k]
        assert rows[row].tolist() == order + [-1] * (k - len(order))
        assert scores[row].tolist() == slow[order].tolist() + [-np.inf] * (k - len(order))


def test_ties_go_to_the_lower_row() -> None:
    weights = np.full(6, 0.5, dtype=np.float32)
    lists = Neighbours(np.array([0, 6, 6, 6, 6, 6, 6, 6]), np.array([6, 2, 5, 1, 4, 3], np.int32), weights)
    rows, _ = lists.top(Ragged.from_lists([[0]]), 4)
    assert rows.tolist() == [[1, 2, 3, 4]]


@settings(max_examples=40, deadline=None)
@given(
    history=st.lists(st.integers(-1, N - 1), max_size=20),
    k=st.integers(1, 70),
    exclude=st.lists(st.integers(-1, N - 1), max_size=20),
)
def test_top_agrees_with_scores(history: list[int], k: int, exclude: list[int]) -> None:
    one = Ragged.from_lists([history])
    rows, scores = NEIGHBOURS.top(one, k, exclude=Ragged.from_lists([exclude]))
    every = NEIGHBOURS.scores(one, np.arange(N, dtype=np.int32)[None])[0]
    found = rows[0][rows[0] >= 0]
    assert len(set(found)) == len(found)
    assert not set(found) & set(exclude)
    np.testing.assert_array_equal(scores[0][: len(found)], every[found])
    left = np.setdiff1d(np.arange(N), [*found, *exclude])
    if len(found) == k:
        assert not (every[left] > scores[0, -1]).any()
    else:
        assert not (every[left] > 0).any()


def test_evidence_column_by_column() -> None:
    items = np.array([[0, 1, 2, 3, 4, 0, -1]] * len(HISTORY), dtype=np.int32)
    scores = NEIGHBOURS.scores(HISTORY, items)
    names = ("sum", "share", "flat", "best", "hits", "last", "second")
    for row in range(len(HISTORY)):
        known = [int(item) for item in HISTORY[row][::-1] if 0 <= item < N][: NEIGHBOURS.reach]
        newest = Ragged.from_lists([known])
        told = NEIGHBOURS.evidence(newest, items[:1])[0]
        np.testing.assert_array_equal(told[:, 0], scores[row])
        assert np.isnan(told[-1]).all()
        if not known:
            assert np.isnan(told).all()
            continue
        edges = [dict(zip(*(part.tolist() for part in NEIGHBOURS.of(item)), strict=True)) for item in known]
        fade = NEIGHBOURS.decay ** np.arange(len(known))
        mass = sum(f * sum(edge.values()) for f, edge in zip(fade, edges, strict=True))
        for place, item in enumerate(items[0, :-1].tolist()):
            weights = np.array([edge.get(item, 0.0) for edge in edges])
            expected = [
                (weights * fade).sum(),
                (weights * fade).sum() / mass,
                weights.sum(),
                weights.max(),
                (weights > 0).mean(),
                weights[0],
                weights[1] if len(weights) > 1 else np.nan,
            ]
            np.testing.assert_allclose(told[place], expected, rtol=1e-6, err_msg=f"{row} {item} {names}")


def test_nearest_is_the_heaviest_item_of_the_history() -> None:
    items = np.arange(N, dtype=np.int32)[None].repeat(len(HISTORY), axis=0)
    nearest = NEIGHBOURS.nearest(HISTORY, items)
    for row in range(len(HISTORY)):
        for item in range(N):
            weights = {}
            known = [int(source) for source in HISTORY[row][::-1] if 0 <= source < N]
            for source in known[: NEIGHBOURS.reach]:
                if item in (own := NEIGHBOURS.of(source))[0]:
                    weights.setdefault(source, float(own[1][own[0] == item][0]))
            assert nearest[row, item] == (max(weights, key=lambda s: weights[s]) if weights else -1)
    assert NEIGHBOURS.nearest(HISTORY, items[:, :0]).shape == (len(HISTORY), 0)


def test_a_batch_and_single_requests_give_the_same_bits() -> None:
    items = np.random.default_rng(0).integers(-1, N, (len(HISTORY), 30)).astype(np.int32)
    scores, best = NEIGHBOURS.scores(HISTORY, items), NEIGHBOURS.top(HISTORY, 9, exclude=EXCLUDE)
    for row in range(len(HISTORY)):
        one = np.array([row])
        single = NEIGHBOURS.top(HISTORY.take(one), 9, exclude=EXCLUDE.take(one))
        np.testing.assert_array_equal(NEIGHBOURS.scores(HISTORY.take(one), items[one])[0], scores[row])
        for part, whole in zip(single, best, strict=True):
            np.testing.assert_array_equal(part[0], whole[row])


def test_a_catalogue_of_one_item() -> None:
    log = Log(np.zeros(3, np.int32), np.zeros(3, np.int32), np.arange(3), 1, 1)
    lists = fit_covisitation(log)
    assert len(lists.items) == 0
    assert lists.top(Ragged.from_lists([[0]]), 3)[0].tolist() == [[-1, -1, -1]]
    assert lists.scores(Ragged.from_lists([[0], []]), np.zeros((2, 1), np.int32))[0] == 0


def test_the_newest_wins_a_tie() -> None:
    """Weights of a few values, so that ties are many; every item of a catalogue is asked for at once."""
    rng = np.random.default_rng(4)
    lists = [np.sort(rng.permutation(60)[:25]).astype(np.int32) for _ in range(60)]
    weights = [np.sort(rng.integers(1, 4, size=25).astype(np.float32))[::-1] for _ in range(60)]
    items, offsets = np.concatenate(lists), np.arange(0, 60 * 25 + 1, 25)
    neighbours = Neighbours(offsets, items, np.concatenate(weights), decay=0.8)
    history = Ragged.from_lists([rng.permutation(60)[:12] for _ in range(20)])
    asked = np.tile(np.arange(-1, 60, dtype=np.int32), (20, 1))
    found = neighbours.nearest(history, asked)
    for row, one in enumerate(found.tolist()):
        for item, source in zip(asked[row].tolist(), one, strict=True):
            best, wanted = 0.0, -1
            for met in reversed(history[row].tolist()):
                weight = dict(zip(*(part.tolist() for part in neighbours.of(met)), strict=True)).get(item, 0)
                best, wanted = (weight, met) if weight > best else (best, wanted)
            assert source == wanted, (row, item)
