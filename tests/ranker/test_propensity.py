"""How far positions are looked at, found again from lists that people were walked through one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from funnel.errors import DataError
from funnel.ranker.propensity import MOST_POSITIONS, Propensities, estimate_propensities

#: The chance to look one position further, so that the true propensities are the running products.
GO_ON = [0.9, 0.75, 0.8, 0.7, 0.9, 0.85, 0.8, 0.9, 0.7]


def walked(lists: int, items: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People who look at one ad after the other, go on or leave, and click what they like of what they saw.

    What is liked more stands higher, with chance: clicks a position alone would say far less of low ones.
    """
    rng = np.random.default_rng(seed)
    liked = rng.beta(1.0, 6.0, items)
    popular = np.exp(rng.normal(size=items))
    shown, positions, clicked = [], [], []
    for _ in range(lists):
        some = rng.choice(items, 10, replace=False, p=popular / popular.sum())
        some = some[np.argsort(-liked[some] * 6 - rng.normal(size=10))]
        looks = True
        for position, item in enumerate(some):
            if position:
                looks = looks and rng.random() < GO_ON[position - 1]
            shown.append(item)
            positions.append(position)
            clicked.append(looks and rng.random() < liked[item])
    return np.array(shown), np.array(positions), np.array(clicked)


def test_the_first_ten_are_within_three_hundredths() -> None:
    items, positions, clicked = walked(40_000, 300, seed=1)
    truth = np.cumprod([1.0, *GO_ON])
    found = estimate_propensities(items, positions, clicked)
    np.testing.assert_allclose(found.values, truth, atol=0.03)
    rates = np.array([clicked[positions == at].mean() for at in range(10)])
    assert np.abs(rates / rates[0] - truth).max() > 0.1  # which clicks a position do not say
    inside = (np.array(found.lo) <= truth) & (truth <= np.array(found.hi))
    assert inside.sum() >= 8
    assert "positions are looked at" in found.sentence


@pytest.mark.parametrize("first", [1, 3])
def test_the_first_position_is_the_least_of_the_log(first: int) -> None:
    items, positions, clicked = walked(2000, 40, seed=3)
    from_0 = estimate_propensities(items, positions, clicked)
    found = estimate_propensities(items, positions + first, clicked)
    np.testing.assert_array_equal(found.at(np.arange(10) + first), from_0.at(np.arange(10)))
    assert (found.lo[first:], found.hi[first:]) == (from_0.lo, from_0.hi)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = np.cumprod([1.0, *GO_ON])
    held = [
        (np.array(found.lo) <= truth)[1:] & (truth <= np.array(found.hi))[1:]
        for found in (estimate_propensities(*walked(1500, 40, seed=seed)) for seed in range(20))
    ]
    assert np.mean(held) > 0.85


def test_rare_items_bias_nothing() -> None:
    """Two thousand items that were each shown about twenty times."""
    items, positions, clicked = walked(4000, 2000, seed=2)
    found = estimate_propensities(items, positions, clicked)
    np.testing.assert_allclose(found.values, np.cumprod([1.0, *GO_ON]), atol=0.08)


def test_without_an_item_at_two_positions_they_cannot_be_compared() -> None:
    rng = np.random.default_rng(0)
    positions = np.tile(np.arange(3), 200)
    with pytest.raises(DataError, match="none of 3 items was clicked and shown at two positions"):
        estimate_propensities(positions + 7, positions, rng.random(600) < 0.3)


def test_positions_that_no_item_links_to_the_first_are_named() -> None:
    """Items 0 and 1 change places at positions 0 and 1, items 2 and 3 at 2 and 3."""
    rng = np.random.default_rng(0)
    flip = rng.random(400) < 0.5
    top = np.where(flip[:, None], [0, 1], [1, 0])
    items = np.hstack([top, top + 2]).ravel()
    positions = np.tile(np.arange(4), 400)
    with pytest.raises(DataError, match="links position 2 to the first"):
        estimate_propensities(items, positions, rng.random(1600) < 0.3)
    with pytest.raises(DataError, match="links position 3 to the first one, 1"):
        estimate_propensities(items, positions + 1, rng.random(1600) < 0.3)


def test_no_click_and_no_row_are_said() -> None:
    nothing = np.zeros(4, dtype=np.int64)
    with pytest.raises(DataError, match="no impression was clicked"):
        estimate_propensities(nothing, nothing, np.zeros(4, dtype=np.bool_))
    with pytest.raises(DataError, match="no impression was clicked"):
        estimate_propensities(nothing[:0], nothing[:0], np.zeros(0, dtype=np.bool_))
    with pytest.raises(DataError, match="nothing was clicked at the first position"):
        estimate_propensities(nothing, np.array([0, 0, 1, 1]), np.array([False, False, True, False]))


def test_far_positions_share_one_and_one_without_an_item_has_that_above() -> None:
    rng = np.random.default_rng(1)
    positions = rng.choice([0, 1, 3, 60, 90], 5000)
    chance = np.where(positions >= MOST_POSITIONS - 1, 0.1, 0.4)
    found = estimate_propensities(rng.integers(5, size=5000), positions, rng.random(5000) < chance)
    assert len(found.values) == MOST_POSITIONS
    assert found.values[2] == pytest.approx(found.values[1])
    assert found.values[-1] == pytest.approx(0.25, abs=0.05)
    np.testing.assert_array_equal(found.at(np.array([49, 60, 1000])), found.values[-1])


def test_a_click_counts_more_where_fewer_look_and_never_beyond_the_clip() -> None:
    found = Propensities(values=(1.0, 0.5, 0.01), lo=(1, 0.4, 0), hi=(1, 0.6, 0.1), clicks=9)
    assert found.weights(np.array([[0, 1], [2, 7]]), 10.0).tolist() == [[1, 2], [10, 10]]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_log_gives_propensities_above_zero_or_a_reason(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    draw = lambda most: np.array(data.draw(st.lists(st.integers(0, most), min_size=n, max_size=n)))  # noqa: E731
    items, positions, clicked = draw(4), draw(5), draw(1).astype(bool)
    try:
        found = estimate_propensities(items, positions, clicked)
    except DataError:
        return
    assert found.values[0] == 1
    assert all(0 < lo <= value <= hi for lo, value, hi in zip(found.lo, found.values, found.hi, strict=True))


@pytest.mark.parametrize("values", [(0.5, 1.0), (1.0, 0.0), (1.0, float("nan"))])
def test_what_is_no_propensity_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError, match=r"above 0, and the first is 1|finite number"):
        Propensities(values=values, lo=values, hi=values, clicks=1)
