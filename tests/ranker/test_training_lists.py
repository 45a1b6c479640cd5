"""Training lists: what is kept, what is counted, what is appended."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.ranker import RankerConfig, concatenate, training_lists
from funnel.types import Candidates, Ragged, Requests


class ItemAndRank:
    """Two features: the item's row, and the first source's rank (NaN where it did not return it)."""

    names = ("item", "rank")

    def matrix(self, requests: Requests, candidates: Candidates) -> np.ndarray:
        assert len(requests) == len(candidates)
        rank = np.where(candidates.source_ranks[..., 0] < 0, np.nan, candidates.source_ranks[..., 0])
        return np.stack([candidates.items, rank], axis=-1).astype(np.float32)


def ask(n: int) -> Requests:
    none = Ragged.empty(n)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none)


def returned(items: list[list[int]]) -> Candidates:
    rows = np.array(items, dtype=np.int32)
    ranks = np.where(rows < 0, -1, np.arange(rows.shape[1])).astype(np.int32)[..., None]
    scores = np.where(rows < 0, -np.inf, 1 / (1 + np.arange(rows.shape[1]))).astype(np.float32)
    return Candidates(rows, scores, ("only",), scores[..., None], ranks)


CANDIDATES = returned([[5, 3, 8, 1], [2, 4, -1, -1], [7, 6, 0, -1]])
TARGETS = Ragged.from_lists([[8, 9, 9], [0], [6, 7]])


def test_missed_positives_are_counted_and_lists_without_any_are_dropped() -> None:
    lists = training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig())
    assert lists.sizes.tolist() == [4, 3]
    assert lists.matrix[:, 0].tolist() == [5, 3, 8, 1, 7, 6, 0]
    assert lists.labels.tolist() == [0, 0, 1, 0, 1, 1, 0]
    assert (lists.missed, lists.without_positive, lists.positives) == (2, 1, 3)
    assert lists.names == ("item", "rank")


def test_append_adds_a_row_for_each_missed_positive() -> None:
    lists = training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig(missed="append"))
    assert lists.sizes.tolist() == [5, 3, 3]
    assert lists.matrix[:, 0].tolist() == [5, 3, 8, 1, 9, 2, 4, 0, 7, 6, 0]
    assert lists.labels.tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0]
    assert np.isnan(lists.matrix[[4, 7], 1]).all()
    assert (lists.missed, lists.without_positive) == (2, 0)


def test_append_lets_the_retriever_fill_what_it_can() -> None:
    seen: list[Candidates] = []

    def complete(requests: Requests, candidates: Candidates) -> Candidates:
        seen.append(candidates)
        return candidates

    config = RankerConfig(missed="append")
    training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), config, complete=complete)
    assert 9 in seen[0].items[0]
    training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig(), complete=complete)
    assert len(seen) == 1


@pytest.mark.parametrize("cap", [2, 4, 7])
def test_cap_keeps_the_positives_the_top_and_a_drawn_part(cap: int) -> None:
    items = np.random.default_rng(0).permutation(60).reshape(2, 30)
    taken = items[:, 20:22]
    many = returned(items.tolist())
    config = RankerConfig(negatives=cap)
    lists = training_lists(ask(2), many, Ragged.from_lists(taken.tolist()), ItemAndRank(), config)
    assert lists.sizes.tolist() == [2 + cap] * 2
    for kept, own, ordered in zip(lists.matrix[:, 0].reshape(2, -1), taken, items, strict=True):
        assert set(own) <= set(kept)
        hard = [i for i in ordered if i not in own][: (cap + 1) // 2]
        assert set(hard) <= set(kept)
        assert [i for i in ordered if i in kept] == kept.tolist()
    again = training_lists(ask(2), many, Ragged.from_lists(taken.tolist()), ItemAndRank(), config)
    np.testing.assert_array_equal(lists.matrix, again.matrix)


def test_no_cap_keeps_all() -> None:
    lists = training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig(negatives=None))
    assert len(lists.labels) == 7


def test_parts_of_batches_are_put_together() -> None:
    whole = training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig())
    parts = [
        training_lists(
            ask(3).take(rows), returned(CANDIDATES.items[rows].tolist()), TARGETS.take(rows), ItemAndRank(),
            RankerConfig(),
        )
        for rows in ([0, 1], [2])
    ]  # fmt: skip
    joined = concatenate(parts)
    np.testing.assert_array_equal(joined.matrix, whole.matrix)
    assert joined.sizes.tolist() == whole.sizes.tolist()
    assert (joined.missed, joined.without_positive) == (whole.missed, whole.without_positive)


def test_a_sample_keeps_whole_lists_in_their_order_and_what_was_counted() -> None:
    items = np.arange(60).reshape(20, 3)
    targets = Ragged.from_lists([[row[1]] for row in items])
    whole = training_lists(ask(20), returned(items.tolist()), targets, ItemAndRank(), RankerConfig())
    some = whole.some(5, seed=1)
    kept = some.matrix[:, 0].reshape(5, 3)
    assert (np.diff(kept[:, 0]) > 0).all()
    assert {tuple(row) for row in kept} <= {tuple(row) for row in items}
    assert some.labels.reshape(5, 3).tolist() == [[0, 1, 0]] * 5
    assert some.matrix.tobytes() == whole.some(5, seed=1).matrix.tobytes()
    assert whole.some(20, seed=1) is whole


def test_nothing_found_gives_no_lists() -> None:
    lists = training_lists(
        ask(2), Candidates.empty(2, ("only",)), Ragged.from_lists([[1], [2]]), ItemAndRank(), RankerConfig()
    )
    assert (len(lists), lists.matrix.shape, lists.missed, lists.without_positive) == (0, (0, 2), 2, 2)


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="2 requests, 3 candidate lists and 3"):
        training_lists(ask(2), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig())
    with pytest.raises(DataError, match="at least one"):
        concatenate([])


def test_features_see_whole_lists_whatever_is_kept() -> None:
    class Best:
        names = ("best",)

        def matrix(self, requests: Requests, candidates: Candidates) -> np.ndarray:
            best = candidates.items.max(axis=1)
            return np.broadcast_to(best[:, None, None], (*candidates.items.shape, 1)).astype(np.float32)

    one = returned([[3, 2, 1, 0, 9]])
    targets = Ragged.from_lists([[2]])
    lists = training_lists(ask(1), one, targets, Best(), RankerConfig(negatives=2))
    assert lists.matrix[:, 0].tolist() == [9, 9, 9]
