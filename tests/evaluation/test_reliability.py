"""Figures of probabilities: by hand, pair by pair, and on worlds whose probabilities are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.evaluation.reliability import BINS, Reliability, reliability


def world(n: int, seed: int, times: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is said, what happens, and whose it is; what is said is `times` too high."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1.0, 20.0, n)
    return np.minimum(1.0, times * chance), rng.random(n) < chance, rng.integers(0, 500, n)


def measured(p: np.ndarray, labels: np.ndarray, users: np.ndarray) -> Reliability:
    return reliability("event", "platt", p, labels, users, seed=0, resamples=200)


def test_figures_by_hand() -> None:
    """Two values said, and so two bins: .2 of which half happens, .6 of which a half does."""
    p = np.array([0.2, 0.2, 0.6, 0.6])
    labels = np.array([True, False, False, True])
    figures = measured(p, labels, np.arange(4))
    assert figures.ece.mean == pytest.approx((0.3 + 0.1) / 2)
    assert figures.ratio.mean == pytest.approx(1.6 / 2)
    loss = -(np.log(0.2) + np.log(0.8) + np.log(0.4) + np.log(0.6)) / 4
    assert figures.log_loss.mean == pytest.approx(loss)
    assert figures.normalised_entropy.mean == pytest.approx(loss / np.log(2))
    assert [(each.rows, each.predicted, each.happened.mean) for each in figures.bins] == [
        (2, pytest.approx(0.2), 0.5),
        (2, pytest.approx(0.6), 0.5),
    ]


def test_auc_is_the_share_of_pairs() -> None:
    p, labels, users = world(300, seed=1)
    p = p.round(2)  # ties
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(p[labels], p[~labels])]
    assert measured(p, labels, users).auc == pytest.approx(np.mean(pairs))


def test_right_probabilities_are_found_right() -> None:
    figures = measured(*world(50_000, seed=1))
    assert figures.ratio.lo < 1 < figures.ratio.hi
    assert figures.ece.mean < 2 * figures.chance_ece
    assert len(figures.bins) == BINS
    assert {each.rows for each in figures.bins} == {2500}


def test_intervals_hold_what_is_true_about_as_often_as_they_say() -> None:
    """95 of 100 worlds; of 60, fewer than 51 is a chance of 1 in 1,000."""
    ratios = [measured(*world(3000, seed)).ratio for seed in range(60)]
    assert sum(ratio.lo < 1 < ratio.hi for ratio in ratios) >= 51


def test_chance_has_the_error_that_right_probabilities_have_on_average() -> None:
    drawn = [measured(*world(2000, seed)) for seed in range(30)]
    found = np.mean([each.ece.mean for each in drawn])
    assert found == pytest.approx(np.mean([each.chance_ece for each in drawn]), rel=0.15)


@pytest.mark.parametrize("times", [0.5, 2.0])
def test_wrong_ones_are_found_wrong(times: float) -> None:
    figures = measured(*world(50_000, seed=3, times=times))
    assert figures.ratio.mean == pytest.approx(times, rel=0.1)
    assert not figures.ratio.lo < 1 < figures.ratio.hi
    assert figures.ece.mean > 5 * figures.chance_ece


def test_the_base_rate_every_time_has_a_normalised_entropy_of_one() -> None:
    _, labels, users = world(5000, seed=4)
    figures = measured(np.full(5000, labels.mean()), labels, users)
    assert figures.normalised_entropy.mean == pytest.approx(1)
    assert figures.ece.mean == pytest.approx(0, abs=1e-12)
    assert len(figures.bins) == 1


def test_users_are_drawn_whole() -> None:
    """Each user's candidates are copies of one: the interval is as wide as that of one each."""
    p, labels, _ = world(300, seed=5)
    once = measured(p, labels, np.arange(300)).ratio
    often = measured(p.repeat(20), labels.repeat(20), np.arange(300).repeat(20)).ratio
    assert often.hi - often.lo == pytest.approx(once.hi - once.lo)


def test_a_part_has_its_own_figures_and_an_empty_one_none() -> None:
    p, labels, users = world(4000, seed=6)
    parts = [("even", np.arange(4000) % 2 == 0), ("none", np.zeros(4000, np.bool_)), ("quiet", ~labels)]
    even, quiet = reliability("event", "platt", p, labels, users, parts, seed=0, resamples=50).slices
    assert (even.name, even.rows) == ("even", 2000)
    assert even.ratio is not None
    assert even.ratio.mean == pytest.approx(p[::2].sum() / labels[::2].sum())
    assert (quiet.happened, quiet.ratio) == (0.0, None)


def test_what_is_no_probability_is_refused() -> None:
    _, labels, users = world(3, seed=7)
    for p in (np.array([0.1, 1.1, 0.2]), np.array([0.1, np.nan, 0.2])):
        with pytest.raises(DataError, match="within 0 and 1"):
            measured(p, labels, users)
    with pytest.raises(DataError, match="none of 3 candidates happened"):
        measured(np.full(3, 0.1), np.zeros(3, np.bool_), users)
