"""Effects by users: as an independent library has them, and as exact or slow references do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.errors import DataError, FunnelError
from funnel.experiments.effects import Effect, effect, smallest_effect, users_needed
from funnel.experiments.moments import UserMoments
from tests.experiments.users import METRICS, ORACLE, by_tea_tasting, people


def arms_of(columns: dict[str, Any], metric: str) -> tuple[UserMoments, UserMoments]:
    parts = METRICS[metric]
    return tuple(  # type: ignore[return-value]
        UserMoments.of(*(None if part is None else columns[part][columns["arm"] == arm] for part in parts))
        for arm in (0, 1)
    )


def judged(columns: dict[str, Any], metric: str) -> Effect:
    return effect(*arms_of(columns, metric))


def is_as(measured: Effect, expected: dict[str, float]) -> None:
    low, high = measured.interval()
    relative_low, relative_high = measured.relative_interval()
    found = {
        "control": measured.control, "treatment": measured.treated, "effect_size": measured.difference,
        "effect_size_ci_lower": low, "effect_size_ci_upper": high, "rel_effect_size": measured.relative,
        "rel_effect_size_ci_lower": relative_low, "rel_effect_size_ci_upper": relative_high,
        "pvalue": measured.p_value, "statistic": measured.z,
    }  # fmt: skip
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effects_are_those_of_tea_tasting_as_written_down(metric: str, seed: int) -> None:
    is_as(judged(people(seed), metric), json.loads(ORACLE.read_text())[str(seed)][metric])


@pytest.mark.parametrize("metric", METRICS)
def test_effects_are_those_of_tea_tasting_where_it_is_installed(metric: str) -> None:
    pytest.importorskip("tea_tasting")
    columns = people(99, 300)
    is_as(judged(columns, metric), by_tea_tasting(columns)[metric])


def test_the_standard_error_is_that_of_users_drawn_again() -> None:
    """A slow reference that knows no delta method: the bootstrap over users."""
    columns, rng = people(5, 400), np.random.default_rng(0)
    drawn = []
    for _ in range(2_000):
        again = rng.integers(400, size=400)
        drawn.append(
            float(judged({name: column[again] for name, column in columns.items()}, "ratio").difference)
        )
    assert np.std(drawn) == pytest.approx(float(judged(columns, "ratio").se), rel=0.08)


def test_requests_of_one_user_are_no_evidence() -> None:
    """Everybody's sums ten times over: as many users, ten times the requests, the same certainty."""
    columns = people(1)
    more = {**columns, "clicks": 10 * columns["clicks"], "requests": 10 * columns["requests"]}
    assert float(judged(more, "ratio").z) == pytest.approx(float(judged(columns, "ratio").z))


@given(st.integers(0, 1_000), st.integers(2, 40), st.integers(2, 40))
def test_moments_of_two_parts_are_those_of_the_whole(seed: int, first: int, second: int) -> None:
    values = np.random.default_rng(seed).normal(3, 2, (4, first + second))
    parts = UserMoments.of(*values[:, :first]) + UserMoments.of(*values[:, first:])
    whole = UserMoments.of(*values)
    np.testing.assert_allclose(parts.mean, whole.mean)
    np.testing.assert_allclose(parts.cov, whole.cov, atol=1e-12)


def test_many_looks_at_once_are_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    y, x = rng.poisson(2, (2, 3, 50)), 1 + rng.poisson(4, (2, 3, 50))
    together = effect(UserMoments.of(y[0], x[0]), UserMoments.of(y[1], x[1]))
    alone = [effect(UserMoments.of(y[0, i], x[0, i]), UserMoments.of(y[1, i], x[1, i])).z for i in range(3)]
    np.testing.assert_allclose(together.z, alone)


def test_what_is_known_from_before_saves_variance_and_moves_no_mean() -> None:
    adjusted, as_is = (effect(*arms_of(people(3, 4_000), "mean, covariate"), adjust=a) for a in (True, False))
    assert float(adjusted.saved) > 0.2
    assert float(as_is.saved) == 0
    assert float(adjusted.se**2) == pytest.approx(float(as_is.se**2 * (1 - adjusted.saved)), rel=0.01)
    assert abs(float(adjusted.difference - as_is.difference)) < 4 * float(as_is.se)


def test_an_effect_of_nothing_is_not_told() -> None:
    """Nobody clicked: no relative effect, no z, and no warning that hides one."""
    nothing = UserMoments.of(np.zeros(5), np.ones(5))
    measured = effect(nothing, nothing)
    assert float(measured.difference) == 0
    assert np.isnan([float(measured.z), float(measured.relative), float(measured.p_value)]).all()


@pytest.mark.parametrize("nothing", ["control", "treated"])
def test_an_arm_that_has_nothing_is_judged_by_the_difference_and_is_no_certainty(nothing: str) -> None:
    """One click was to be expected of the small arm: that it has none says nothing."""
    rng = np.random.default_rng(0)
    some, few, many = (UserMoments.of(x) for x in (rng.random(980) < 0.05, np.zeros(20), np.zeros(980)))
    small, large = (effect(*((none, some) if nothing == "control" else (some, none))) for none in (few, many))
    assert abs(float(small.z)) < 1.96 < 4 < abs(float(large.z))
    low, high = (float(bound) for bound in large.relative_interval())
    if nothing == "control":
        assert np.isnan(float(large.relative))
        assert np.isnan(float(smallest_effect(large)))
        assert low == high == np.inf
        assert [float(bound) for bound in small.relative_interval()] == [-np.inf, np.inf]
    else:
        assert float(large.relative) == -1
        assert low < -1 < high < -0.5
        assert float(small.relative_interval()[1]) > 0


def test_more_users_see_a_smaller_effect() -> None:
    control, treated = arms_of(people(4, 2_000), "ratio")
    measured = effect(control, treated)
    assert float(smallest_effect(measured, 4.0)) == pytest.approx(float(smallest_effect(measured)) / 2)
    needed = users_needed(control, float(smallest_effect(effect(control, control))))
    assert float(needed) == pytest.approx(2 * float(control.n), rel=0.01)


@pytest.mark.parametrize(("relative", "share"), [(0.0, 0.5), (0.05, 0.0), (0.05, 1.0)])
def test_a_size_that_cannot_be_told_is_refused(relative: float, share: float) -> None:
    with pytest.raises(FunnelError, match="an effect other than 0"):
        users_needed(UserMoments.of([1.0, 2.0, 4.0]), relative, share=share)


@pytest.mark.parametrize(("sums", "message"), [([1.0], "at least two"), ([1.0, float("nan")], "finite")])
def test_sums_that_say_nothing_are_refused(sums: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        UserMoments.of(sums)
