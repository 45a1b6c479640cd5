"""Shown lists as training lists: what counts how much, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.ranker import RankerConfig, concatenate, training_lists
from funnel.ranker.logged import ShownRows, entries, join_rows, lists_of_clicks, shown_rows
from funnel.ranker.objective import Graded, gradients
from funnel.ranker.propensity import Propensities
from funnel.types import Candidates, Examples, Ragged, Requests, Shown
from tests.ranker.test_training_lists import CANDIDATES, TARGETS, ItemAndRank, ask, returned

HALVES = Propensities(values=(1.0, 0.5, 0.01), lo=(1.0, 0.4, 0.001), hi=(1.0, 0.6, 0.1), clicks=9)


def rows(clicked: list[int], positions: list[int], sizes: list[int], weights: list[float]) -> ShownRows:
    n = len(clicked)
    return ShownRows(
        matrix=np.arange(n, dtype=np.float32)[:, None],
        names=("row",),
        items=np.arange(n, dtype=np.int32),
        outcomes={"click": np.array(clicked, dtype=np.bool_)},
        positions=np.array(positions),
        sizes=np.array(sizes),
        weights=np.array(weights),
    )


def test_each_click_is_a_list_with_what_was_not_clicked_beside_it() -> None:
    some = rows([1, 0, 1, 0, 0, 0, 1], [0, 1, 2, 0, 1, 0, 1], [3, 2, 2], [1.0, 1.0, 3.0])
    lists = lists_of_clicks(some, HALVES, clip=10.0)
    assert lists.sizes.tolist() == [2, 2, 2]
    assert lists.matrix[:, 0].tolist() == [0, 1, 2, 1, 6, 5]
    assert lists.labels.tolist() == [1, 0, 1, 0, 1, 0]
    # 1 / 1, 1 / .01 clipped, and three lists' worth of 1 / .5; over their mean
    np.testing.assert_allclose(lists.importance, np.array([1, 10, 6]) / (17 / 3), rtol=1e-6)
    assert not lists.followed.any()


def test_without_propensities_each_click_counts_what_its_list_stands_for() -> None:
    some = rows([1, 0, 0, 1], [0, 1, 0, 1], [2, 2], [1.0, 3.0])
    np.testing.assert_allclose(lists_of_clicks(some, None, clip=10.0).importance, [0.5, 1.5])


def test_a_list_that_was_clicked_through_says_nothing_of_order() -> None:
    assert len(lists_of_clicks(rows([1, 1, 0], [0, 1, 0], [2, 1], [1.0, 1.0]), HALVES, 10.0)) == 0


def test_the_weight_of_a_list_is_that_of_its_gradient() -> None:
    """Of the softmax objective and of lambdarank: as if the list were there so many times."""
    some = rows([1, 0, 0, 0, 1, 0], [0, 1, 2, 0, 1, 2], [3, 3], [1.0, 3.0])
    lists = lists_of_clicks(some, None, 10.0)
    scores = np.random.default_rng(0).normal(size=len(lists.labels))
    for objective in ("rank_xendcg", "lambdarank"):
        config = RankerConfig(objective=objective)
        whole = gradients(config, Graded.of(lists), True)
        assert whole is not None
        plain = Graded(lists.labels, lists.weights, Graded.of(lists).offsets)
        twice = Graded(lists.labels, lists.weights, plain.offsets, np.full(2, 2.0, np.float32))
        own = gradients(config, plain, plain.uneven)
        alone = own or gradients(config, twice, twice.uneven)
        assert alone is not None
        scale = 1.0 if own is not None else 2.0
        times = np.repeat(lists.importance, lists.sizes)
        for weighted, once in zip(whole(scores), alone(scores), strict=True):
            np.testing.assert_allclose(weighted, times * once / scale, rtol=1e-6)


def test_how_many_trees_to_keep_goes_by_retrieved_lists_alone() -> None:
    retrieved = training_lists(ask(3), CANDIDATES, TARGETS, ItemAndRank(), RankerConfig())
    shown = lists_of_clicks(rows([1, 0, 0, 1], [0, 1, 0, 1], [2, 2], [1.0, 3.0]), HALVES, 10.0)
    n = len(retrieved.names)
    shown = replace(shown, matrix=np.zeros((len(shown.labels), n), np.float32), names=retrieved.names)
    both = concatenate([retrieved, shown])
    scores = np.random.default_rng(1).normal(size=len(both.labels))
    alone = Graded.of(retrieved).ndcg(scores[: len(retrieved.labels)])
    assert Graded.of(both).ndcg(scores) == alone


def ShownLike(lists, names):
    """The same lists with as many features."""
    from dataclasses import replace

    return replace(lists, matrix=np.zeros((len(lists.labels), len(names)), np.float32), names=names)


def requests(
    items: list[list[int]], positions: list[int], clicks: list[int], exclude: list[list[int]]
) -> Examples:
    n = len(items)
    columns = {
        "position": np.array(positions, dtype=np.float32),
        "outcome.click": np.array(clicks, dtype=np.float32),
    }
    none = Ragged.empty(n)
    shown = Shown(Ragged.from_lists(items), columns)
    asked = Requests(
        np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none,
        exclude=Ragged.from_lists(exclude), shown=shown,
    )  # fmt: skip
    return Examples(asked, Ragged.empty(n))


def test_rows_are_the_candidates_with_what_came_of_them() -> None:
    """Candidates are in another order than the list was, without what a stage dropped or is excluded."""
    examples = requests([[3, 5, 8], [4, 2]], [0, 1, 2, 0, 1], [0, 0, 1, 1, 0], [[5], []])
    found = returned([[8, 5, 3], [2, -1, -1]])
    some = shown_rows(examples, found, np.array([1.0, 2.0]), ItemAndRank())
    assert some.items.tolist() == [8, 3, 2]
    assert some.clicked.tolist() == [True, False, False]
    assert some.positions.tolist() == [2, 0, 1]
    assert some.sizes.tolist() == [2, 1]
    np.testing.assert_array_equal(some.matrix, [[8, 0], [3, 2], [2, 0]])
    assert join_rows([some, some]).take(np.array([1, 2])).items.tolist() == [2, 8, 3]


@pytest.mark.parametrize("turned", [False, True])
def test_features_do_not_know_where_an_item_stood(turned: bool) -> None:
    positions = [2, 1, 0, 1, 0] if turned else [0, 1, 2, 0, 1]
    examples = requests([[3, 5, 8], [4, 2]], positions, [0, 0, 1, 1, 0], [[], []])
    some = shown_rows(examples, returned([[8, 5, 3], [2, 4, -1]]), np.ones(2), ItemAndRank())
    np.testing.assert_array_equal(some.matrix, [[8, 0], [5, 1], [3, 2], [2, 0], [4, 1]])


def test_entries_are_looked_up_in_each_list_of_its_own() -> None:
    rng = np.random.default_rng(3)
    lists = [rng.choice(30, rng.integers(1, 9), replace=False).tolist() for _ in range(50)]
    shown = Shown(Ragged.from_lists(lists))
    items = rng.integers(-1, 30, (50, 7)).astype(np.int32)
    blank = np.zeros((50, 7, 0), dtype=np.float32)
    at = entries(shown, Candidates(items, np.zeros((50, 7), np.float32), (), blank, blank.astype(np.int32)))
    for row in range(50):
        for column in range(7):
            item, entry = int(items[row, column]), int(at[row, column])
            assert (entry >= 0) == (item in lists[row])
            if entry >= 0:
                assert shown.items.values[entry] == item
                assert shown.items.offsets[row] <= entry < shown.items.offsets[row + 1]


def test_requests_without_a_list_are_refused() -> None:
    examples = Examples(ask(3), Ragged.empty(3))
    with pytest.raises(DataError, match="bring none"):
        shown_rows(examples, CANDIDATES, np.ones(3), ItemAndRank())
