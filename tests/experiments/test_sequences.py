"""Confidence sequences hold at all looks together; fixed intervals do not, by the same simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from funnel.errors import FunnelError
from funnel.experiments.sequences import half_width, multiplier, p_value

RUNS, N = 1_500, 3_000


@pytest.fixture(scope="module")
def walks() -> np.ndarray:  # type: ignore[type-arg]
    """z after each of N observations of mean 0, skewed: [RUNS, N]; the first 300 are not looked at."""
    values = np.random.default_rng(1).exponential(1.0, (RUNS, N)) - 1
    sizes = np.arange(1, N + 1)
    sums, squares = values.cumsum(axis=1), (values**2).cumsum(axis=1)
    sd = np.sqrt(squares / sizes - (sums / sizes) ** 2)
    return (sums / np.sqrt(sizes) / np.maximum(sd, 1e-9))[:, 300:]


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_truth_is_rarely_ever_outside(walks: np.ndarray, one_sided: bool) -> None:  # type: ignore[type-arg]
    time = np.arange(301, N + 1) / 1_000
    z = walks if one_sided else np.abs(walks)
    ever = (z > multiplier(time, one_sided=one_sided)).any(axis=1).mean()
    fixed = (np.abs(walks) > norm.isf(0.025)).any(axis=1).mean()
    assert ever <= 0.05
    assert fixed > 0.25  # the control: looking every time at intervals of one look


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("time", [0.05, 1.0, 7.0])
def test_the_bound_is_where_the_mixture_of_likelihood_ratios_reaches_one_over_alpha(
    alpha: float, time: float
) -> None:
    """The reference does not know the formula: it integrates over normal effects."""
    twice = -2 * np.log(alpha)
    spent = time * (twice + np.log(twice) + 1)  # variance of the sum, with rho 1
    total = float(multiplier(time, alpha=alpha)) * np.sqrt(spent)

    def weighted(effect: float) -> float:
        return float(np.exp(effect * total - effect**2 * spent / 2) * norm.pdf(effect))

    centre = total / (spent + 1)
    mixture, _ = quad(weighted, centre - 12, centre + 12, points=[centre])
    assert mixture == pytest.approx(1 / alpha, rel=1e-6)


def test_it_is_narrowest_about_where_it_was_told_to_be() -> None:
    times = np.geomspace(0.01, 100, 401)
    narrowest = times[multiplier(times).argmin()]
    assert 0.5 < narrowest < 2
    assert float(multiplier(1.0, one_sided=True)) < float(multiplier(1.0))


def test_widths_are_those_of_a_mean() -> None:
    assert float(half_width(400, 2.0, best_at=400)) == pytest.approx(float(multiplier(1.0)) * 0.1)


def test_the_p_value_is_the_level_at_which_zero_is_just_excluded() -> None:
    for time in (0.2, 1.0, 5.0):
        assert float(p_value(multiplier(time), time)) == pytest.approx(0.05)
    assert float(p_value(0.0, 1.0)) == 1.0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_level_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(FunnelError, match="alpha"):
        multiplier(1.0, alpha=alpha)


def test_nothing_observed_is_refused() -> None:
    with pytest.raises(FunnelError, match="at least one observation"):
        half_width([0, 5], [1.0, 1.0], best_at=10)
    with pytest.raises(FunnelError, match="best_at"):
        half_width(5, 1.0, best_at=0)
