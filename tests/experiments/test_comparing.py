"""Shares of users, several questions at once, and two rankings in one list."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import beta

from funnel.errors import DataError, FunnelError
from funnel.experiments import sample_ratio
from funnel.experiments.interleaving import preference, team_draft
from funnel.experiments.multiple import benjamini_hochberg, holm


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_evidence_is_that_of_all_shares_mixed(share: float) -> None:
    """For two arms it is a beta-binomial over a binomial: exact, in whole numbers of users."""
    a, b = sample_ratio.PRIOR * share, sample_ratio.PRIOR * (1 - share)
    mixed = comb(30, 12) * beta(a + 12, b + 18) / beta(a, b)
    declared = comb(30, 12) * share**12 * (1 - share) ** 18
    assert float(sample_ratio.evidence([12, 18], [share, 1 - share])) == pytest.approx(
        np.log(mixed / declared)
    )


def test_a_look_after_each_user_raises_few_false_alarms_and_finds_a_lost_user_in_fifty() -> None:
    rng, n = np.random.default_rng(3), np.arange(1, 20_001)
    for share, low, high in ((0.5, 0.0, 0.02), (0.48, 0.9, 1.0)):
        first = (rng.random((200, len(n))) < share).cumsum(axis=1)
        found = sample_ratio.p_value(np.stack([first, n - first], axis=-1), [0.5, 0.5]) <= 0.01
        assert low <= found.any(axis=1).mean() <= high


def test_a_share_of_nobody_is_no_expectation() -> None:
    with pytest.raises(FunnelError, match="above 0"):
        sample_ratio.evidence([5, 5], [1.0, 0.0])


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_values)
def test_holm_rejects_step_by_step(p: list[float]) -> None:
    """The procedure in words: from the least on, while p is at most the level over what is left."""
    level, rejected, order = 0.05, set(), sorted(range(len(p)), key=lambda i: p[i])
    for step, number in enumerate(order):
        if p[number] * (len(p) - step) > level:
            break
        rejected.add(number)
    assert {i for i, adjusted in enumerate(holm(p)) if adjusted <= level} == rejected


@given(p_values)
def test_benjamini_and_hochberg_reject_up_to_the_last_that_fits(p: list[float]) -> None:
    level, order = 0.05, sorted(range(len(p)), key=lambda i: p[i])
    fits = [step for step, i in enumerate(order, 1) if p[i] * len(p) / step <= level]
    rejected = set(order[: max(fits, default=0)])
    assert {i for i, adjusted in enumerate(benjamini_hochberg(p)) if adjusted <= level} == rejected


rankings = st.lists(st.integers(0, 15), unique=True, max_size=12)


@given(rankings, rankings, st.integers(1, 10), st.integers(0, 50))
def test_a_draft_is_fair(a: list[int], b: list[int], k: int, seed: int) -> None:
    items, teams = team_draft(a, b, k, seed)
    assert len(items) == len(set(items)) == min(k, len({*a, *b}))
    for team, ranking in enumerate((a, b)):
        own = [item for item, of in zip(items, teams, strict=True) if of == team]
        assert own == sorted(own, key=ranking.index)  # each puts in its best that was left
    if len(a) >= k and len(b) >= k:
        assert abs(teams.count(0) - teams.count(1)) <= 1


def test_equal_rankings_say_nothing_and_others_are_first_equally_often() -> None:
    assert team_draft([1, 2, 3], [1, 2, 3], 5, 0) == ([1, 2, 3], [-1, -1, -1])
    first = [team_draft([1, 2], [3, 4], 4, seed)[1][0] for seed in range(2_000)]
    assert 900 < sum(first) < 1_100


@pytest.mark.parametrize("b", [[2, 3, 1, 4], [4, 1, 2, 3], [5, 6, 7, 8]])
def test_who_clicks_by_position_alone_prefers_none(b: list[int]) -> None:
    """The higher a position the more clicks, whatever is there: over many drafts both get as many."""
    looked = np.array([1.0, 0.5, 0.3, 0.2])
    wins = np.zeros(2)
    for seed in range(4_000):
        _, teams = team_draft([1, 2, 3, 4], b, 4, seed)
        for team in (0, 1):
            wins[team] += looked[: len(teams)][np.array(teams) == team].sum()
    assert wins[0] == pytest.approx(wins[1], rel=0.03)


def test_a_preference_is_paired_by_user_whatever_the_clicks() -> None:
    few, many = ([1, 0, 1, 1], [0, 1, 1, 1]), ([50, 0, 1, 1], [0, 1, 1, 1])
    assert preference(*few, horizon_users=100) == preference(*many, horizon_users=100)
    liked = preference(np.zeros(60), np.ones(60), horizon_users=60)
    assert liked.mean == 1
    assert preference([0, 0, 3], [0, 1, 1], horizon_users=9).users == 2
    with pytest.raises(DataError, match="at least two"):
        preference([1, 0], [0, 0], horizon_users=9)
