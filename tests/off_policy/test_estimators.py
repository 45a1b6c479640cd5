"""Estimators beside what is counted over every list that there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.off_policy import ESTIMATORS, DrawnLists, Predicted, estimate
from funnel.types import Float64

#: Odds of three items at the first position and of the two that are left at the second, in whole numbers: so
#: a log that has each list exactly as often as it is to be expected is no estimate.
LOGGED = {0: 2, 1: 1, 2: 1}
JUDGED = {0: 1, 1: 3, 2: 2}
LISTS = list(permutations(range(3), 2))


def conditional(odds: dict[int, int], shown: tuple[int, ...]) -> list[float]:
    left, out = dict(odds), []
    for item in shown:
        out.append(left[item] / sum(left.values()))
        del left[item]
    return out


def earned(kind: str, shown: tuple[int, ...]) -> list[float]:
    """At each position, on average over clicks."""
    first, second = shown
    base = {0: 0.2, 1: 0.5, 2: 0.8}
    match kind:
        case "alone":
            return [base[first], base[second] * 0.7]
        case "cascade":
            return [base[first], base[second] * (0.1 if first == 2 else 0.9)]
        case _:
            return [base[first] * (0.3 if second == 1 else 1.0), base[second] * (0.1 if first == 2 else 0.9)]


def marginal(odds: dict[int, int]) -> Float64:
    """[positions, items]."""
    out = np.zeros((2, 3))
    for shown in LISTS:
        chance = np.prod(conditional(odds, shown))
        for at, item in enumerate(shown):
            out[at, item] += chance
    return out


def whole_log(kind: str, scale: int = 120) -> DrawnLists:
    """Every list exactly as often as the logging policy shows it."""
    often = [round(scale * float(np.prod(conditional(LOGGED, shown)))) for shown in LISTS]
    assert sum(often) == scale
    rows = [shown for shown, times in zip(LISTS, often, strict=True) for _ in range(times)]
    at = np.arange(2)
    return DrawnLists(
        rewards=np.array([earned(kind, shown) for shown in rows]),
        logged=np.array([conditional(LOGGED, shown) for shown in rows]),
        judged=np.array([conditional(JUDGED, shown) for shown in rows]),
        logged_marginal=marginal(LOGGED)[at, np.array(rows)],
        judged_marginal=marginal(JUDGED)[at, np.array(rows)],
        predicted=model(rows),
    )


def model(rows: list[tuple[int, ...]]) -> Predicted:
    """A wrong one: what each list earns is thought to be its first item's number, and one for item 1
    below."""

    def thought(shown: tuple[int, ...]) -> list[float]:
        return [shown[0] + 0.5, float(shown[1] == 1)]

    def on_average(above: tuple[int, ...], at: int) -> float:
        those = [shown for shown in LISTS if shown[:at] == above]
        odds = [float(np.prod(conditional(JUDGED, shown))) for shown in those]
        return float(np.average([thought(shown)[at] for shown in those], weights=odds))

    here = np.array([thought(shown) for shown in rows])
    before = np.array([[on_average(shown[:at], at) for at in range(2)] for shown in rows])
    return Predicted(here, before)


def truth(kind: str) -> float:
    return float(sum(np.prod(conditional(JUDGED, shown)) * sum(earned(kind, shown)) for shown in LISTS))


HOLDS = {
    "alone": list(ESTIMATORS),
    "cascade": ["ips", "snips", "rips", "snrips", "dr", "cascade_dr"],
    "whole": ["ips", "snips", "dr"],
}


@pytest.mark.parametrize("kind", list(HOLDS))
def test_estimates_are_the_truth_where_their_assumption_holds(kind: str) -> None:
    found = estimate(whole_log(kind), list(ESTIMATORS), floor=1)
    for one in found:
        assert one.value is not None
        if one.estimator in HOLDS[kind]:
            assert one.value == pytest.approx(truth(kind), abs=1e-12), one.estimator
        elif one.estimator != "cascade_dr":  # which a model may happen to put right
            assert abs(one.value - truth(kind)) > 0.01, one.estimator


def test_what_a_policy_itself_would_have_earned_is_what_it_earned() -> None:
    lists = whole_log("whole")
    same = replace(lists, judged=lists.logged, judged_marginal=lists.logged_marginal)
    for one in estimate(same, ["ips", "snips", "rips", "snrips", "iips"], floor=1):
        assert one.change is not None
        assert one.change == pytest.approx((0, 0, 0), abs=1e-9)
        assert one.effective == pytest.approx(len(lists))


def drawn(rng: np.random.Generator, users: int, each: int) -> DrawnLists:
    """A log of users whose lists are alike: one of them tells little more than ten."""
    chances = np.array([np.prod(conditional(LOGGED, shown)) for shown in LISTS])
    chosen = rng.choice(len(LISTS), size=users * each, p=chances)
    who = np.repeat(np.arange(users), each)
    liking = np.repeat(rng.uniform(0, 1, users), each)
    means = np.array([earned("cascade", shown) for shown in LISTS])[chosen]
    rewards = (rng.random((users * each, 2)) < means * liking[:, None]).astype(float)
    logged = np.array([conditional(LOGGED, shown) for shown in LISTS])[chosen]
    judged = np.array([conditional(JUDGED, shown) for shown in LISTS])[chosen]
    return DrawnLists(rewards, logged, judged, users=who)


def test_intervals_take_users_as_a_whole() -> None:
    lists, covered, alone = truth("cascade") / 2, 0, 0
    for number in range(300):
        log = drawn(np.random.default_rng(number), 300, 12)
        (one,) = estimate(log, ["snrips"])
        (other,) = estimate(replace(log, users=None), ["snrips"])
        assert one.lo is not None
        assert one.hi is not None
        assert other.lo is not None
        assert other.hi is not None
        covered += one.lo <= lists <= one.hi
        alone += other.lo <= lists <= other.hi
    assert 0.91 * 300 <= covered <= 0.985 * 300
    assert alone < covered - 15


def test_clipping_is_stated_and_lowers_the_weights() -> None:
    lists = whole_log("alone")
    (plain,) = estimate(lists, ["ips"], floor=1)
    (cut,) = estimate(lists, ["ips"], floor=1, clip=1.0)
    assert (plain.clip, plain.clipped) == (None, 0.0)
    weights = np.prod(lists.judged / lists.logged, axis=1)
    assert cut.clip == 1.0
    assert cut.clipped == pytest.approx(np.mean(weights > 1))
    assert cut.value is not None
    assert plain.value is not None
    assert cut.value < plain.value


def test_too_few_effective_lists_are_refused() -> None:
    lists = whole_log("alone")
    (one,) = estimate(lists, ["snips"])
    assert one.value is None
    assert one.change is None
    assert one.refused is not None
    assert "120 lists say as much as" in one.refused
    assert one.effective < 100
    nowhere = replace(lists, judged=np.zeros_like(lists.judged))
    (none,) = estimate(nowhere, ["ips"])
    assert none.refused is not None
    assert none.effective == 0


def test_a_log_without_chance_is_refused_unless_it_is_the_policy_itself() -> None:
    ones = np.ones((200, 2))
    rewards = np.random.default_rng(0).integers(0, 2, (200, 2)).astype(float)
    with pytest.raises(FunnelError, match="nothing in this log was left to chance"):
        estimate(DrawnLists(rewards, ones, np.zeros((200, 2))), ["snips"])
    (same,) = estimate(DrawnLists(rewards, ones, ones), ["snips"])
    assert same.value == pytest.approx(rewards.sum(axis=1).mean())


def test_what_is_missing_or_wrong_is_said() -> None:
    lists = whole_log("alone")
    with pytest.raises(ConfigError, match="snips"):
        estimate(lists, ["snip"])
    with pytest.raises(FunnelError, match="given what stands above"):
        estimate(replace(lists, logged_marginal=None), ["iips"])
    with pytest.raises(FunnelError, match="a model is needed"):
        estimate(replace(lists, predicted=None), ["dr"], floor=1)
    logged = lists.logged.copy()
    logged[3, 1] = 0
    with pytest.raises(DataError, match="position 2 of list 3"):
        replace(lists, logged=logged)
    with pytest.raises(DataError, match="judged is of shape"):
        replace(lists, judged=lists.judged[:, :1])
    with pytest.raises(DataError, match="not a finite number"):
        replace(lists, rewards=lists.rewards * np.nan)
    with pytest.raises(DataError, match="users"):
        replace(lists, users=np.zeros(3))
