"""A difference counts where it is sure to be more than the least effect, in two windows in a row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from funnel.monitoring.counts import Variable
from funnel.monitoring.distributions import InARow, difference

A, B, C = Variable("feature", "a"), Variable("feature", "b"), Variable("feature", "c")


def drawn(rng: np.random.Generator, n: int, shares: list[float]) -> np.ndarray:
    return rng.multinomial(n, shares).astype(np.float64)


def test_without_a_least_effect_it_is_the_test_of_two_samples() -> None:
    """SciPy's test of independence of the table of both."""
    rng = np.random.default_rng(0)
    for n, m in ((50, 80), (400, 90), (1000, 5000)):
        seen, other = drawn(rng, n, [0.2, 0.3, 0.5]), drawn(rng, m, [0.25, 0.35, 0.4])
        exact = chi2_contingency(np.array([seen, other]), correction=False)
        found = difference(seen, other[None], 0.0)
        if found.effect > 0:
            assert found.chance == pytest.approx(exact.pvalue, rel=1e-6)
        else:
            assert exact.pvalue > 0.05


def test_the_effect_is_cohens_w_whatever_the_size() -> None:
    """Without what chance adds: of equal samples it is about 0, of others about the true one."""
    rng = np.random.default_rng(1)
    usual, other = [0.25, 0.25, 0.25, 0.25], [0.35, 0.25, 0.25, 0.15]
    for n in (300, 30_000):
        effects = [
            difference(drawn(rng, n, other), drawn(rng, 10**6, usual)[None], 0.0).effect for _ in range(200)
        ]
        assert np.sqrt(np.mean(np.square(effects))) == pytest.approx(0.283, abs=0.06)


def test_what_is_as_different_as_may_be_is_told_of_as_seldom_as_chance_has_it() -> None:
    """The true effect is the least one: p-values below .01 in a hundredth, however large the sample."""
    rng = np.random.default_rng(2)
    usual, other = [0.5, 0.5], [0.65, 0.35]  # w = .3
    for n in (200, 5_000):
        some = [
            difference(drawn(rng, n, other), drawn(rng, 10**6, usual)[None], 0.3).chance for _ in range(2000)
        ]
        assert np.mean(np.array(some) < 0.01) < 0.02


def test_it_must_differ_from_each_of_the_others() -> None:
    monday, saturday = np.array([900.0, 100.0]), np.array([100.0, 900.0])
    now = np.array([110.0, 890.0])
    assert difference(now, monday[None], 0.3).chance < 1e-9
    assert difference(now, np.array([monday, saturday]), 0.3).chance == 1.0


def test_what_lies_far_outside_has_a_small_chance_and_no_nan() -> None:
    seen, other = np.array([0.0, 100_000.0]), np.array([100_000.0, 0.0])
    found = difference(seen, other[None], 0.3)
    assert 0 < found.chance < 1e-100
    assert found.effect > 1


def test_sessions_make_no_difference_of_chance() -> None:
    """Twenty answers of a kind each: as if there were a twentieth of them."""
    rng, shares = np.random.default_rng(3), [0.25, 0.25, 0.25, 0.25]
    other = drawn(rng, 10**6, shares)[None]
    one = [difference(drawn(rng, 90, shares), other, 0.0).chance for _ in range(1000)]
    many = [difference(20 * drawn(rng, 90, shares), other, 0.0).chance for _ in range(1000)]
    told = [difference(20 * drawn(rng, 90, shares), other, 0.0, 20.0).chance for _ in range(1000)]
    assert np.mean(np.array(one) < 0.05) < 0.08
    assert np.mean(np.array(many) < 0.05) > 0.9
    assert np.mean(np.array(told) < 0.05) < 0.08


def test_only_the_second_window_in_a_row_counts() -> None:
    row = InARow()
    assert row.look({A, B}, [A, B, C], 0.0) == {}
    assert row.look({A}, [A, B, C], 180.0) == {A: 0.0}
    assert row.look({A, B}, [A, B, C], 360.0) == {A: 0.0}
    assert row.look({B}, [A, B], 540.0) == {B: 360.0}
