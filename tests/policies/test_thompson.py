"""Weights of arms, and what arms earn although their weights went by it."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.errors import DataError
from funnel.policies.thompson import Period, arm_values, next_weights

ARMS = ("a", "b", "c")


def period(rng: np.random.Generator, weights: dict[str, float], means: list[float], users: int) -> Period:
    """Everybody earns around an arm's mean."""
    arms, drawn = list(weights), rng.multinomial(users, list(weights.values()))
    earned = [rng.normal(mean, 1.0, n) for mean, n in zip(means, drawn, strict=True)]
    return Period(
        weights,
        dict(zip(arms, map(float, drawn), strict=True)),
        {arm: float(values.sum()) for arm, values in zip(arms, earned, strict=True)},
        {arm: float((values**2).sum()) for arm, values in zip(arms, earned, strict=True)},
    )


def test_weights_are_the_chances_to_be_the_best() -> None:
    """Beside draws from the same posteriors."""
    rng = np.random.default_rng(0)
    one = period(rng, dict.fromkeys(ARMS, 1 / 3), [0.0, 0.05, 0.08], 1_000)
    weights = next_weights(ARMS, [one], least=0.0)
    users = np.array(list(one.users.values()))
    means = np.array(list(one.total.values())) / users
    spread = sum(one.squares.values()) - float((users * means**2).sum())
    errors = np.sqrt(spread / (users.sum() - 3) / users)
    drawn = rng.normal(means, errors, size=(400_000, 3)).argmax(axis=1)
    assert list(weights.values()) == pytest.approx(
        (np.bincount(drawn, minlength=3) / 400_000).tolist(), abs=0.005
    )
    assert sum(weights.values()) == pytest.approx(1)
    assert next_weights(ARMS, [one], least=0.0) == weights  # nothing is drawn


def test_nothing_known_is_an_even_split_and_no_arm_is_left_without_users() -> None:
    assert next_weights(ARMS, []) == dict.fromkeys(ARMS, 1 / 3)
    rng = np.random.default_rng(1)
    one = period(rng, dict.fromkeys(ARMS, 1 / 3), [0.0, 0.0, 9.0], 3_000)
    assert next_weights(ARMS, [one], least=0.05) == pytest.approx({"a": 0.05, "b": 0.05, "c": 0.9})
    silent = Period(one.weights, one.users, dict.fromkeys(ARMS, 0.0), dict.fromkeys(ARMS, 0.0))
    assert next_weights(ARMS, [silent]) == dict.fromkeys(ARMS, 1 / 3)


def test_intervals_hold_where_plain_means_do_not() -> None:
    """Equal arms whose weights went by chance alone: an arm that began badly is never put right."""
    runs, held, plain, bias = 400, 0, 0, 0.0
    for number in range(runs):
        rng, periods = np.random.default_rng(number), list[Period]()
        for _ in range(12):
            periods.append(period(rng, next_weights(ARMS, periods, least=0.01), [0.0, 0.0, 0.0], 150))
        values = arm_values(ARMS, periods)
        held += sum(value.lo <= 0 <= value.hi for value in values.values())
        for arm in ARMS:
            n = sum(one.users[arm] for one in periods)
            mean = sum(one.total[arm] for one in periods) / n
            plain += abs(mean) <= 1.96 / n**0.5
            bias += mean / (3 * runs)
    assert 0.93 <= held / (3 * runs) <= 0.97
    assert plain / (3 * runs) < held / (3 * runs) - 0.01
    assert bias < -0.01


def test_what_is_no_period_is_said() -> None:
    even = dict.fromkeys(ARMS, 1 / 3)
    with pytest.raises(DataError, match="above 0, and 1 together"):
        Period({"a": 0.5, "b": 0.6}, {"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1})
    with pytest.raises(DataError, match="total are of the arms"):
        Period(even, even, {"a": 1}, even)
    with pytest.raises(DataError, match="a period is of the arms"):
        next_weights(("a", "b"), [Period(even, even, even, even)])
    with pytest.raises(DataError, match="within 1"):
        next_weights(ARMS, [], least=0.5)
