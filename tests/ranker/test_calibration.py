"""Scores become probabilities: each method beside an independent one, and what always holds."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from funnel.errors import BundleError, DataError
from funnel.ranker.calibration import (
    METHODS,
    calibrate,
    fit_beta,
    fit_isotonic,
    fit_platt,
    load_heads,
    save_heads,
)


def sample(n: int, slope: float, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, what happened with log odds slope · score + shift, and three folds."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n).astype(np.float32)
    chance = 1 / (1 + np.exp(-(slope * scores.astype(np.float64) + shift)))
    return scores, rng.random(n) < chance, rng.integers(0, 3, n)


@pytest.mark.parametrize("decimals", [6, 1])
def test_isotonic_is_what_scikit_learn_fits(decimals: int) -> None:
    """With scores that repeat, too. The ends are kept off 0 and 1, and are left out here."""
    scores, labels, _ = sample(4000, 1.5, -2.0, seed=1)
    scores = scores.round(decimals)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    levels = np.unique(scores)
    expected = theirs.predict(levels)
    inner = (expected > 0) & (expected < 1)
    assert inner.sum() > 10
    np.testing.assert_allclose(fit_isotonic(scores, labels)(levels)[inner], expected[inner], atol=1e-6)


def test_platt_is_logistic_regression() -> None:
    scores, labels, _ = sample(20_000, 1.3, -3.0, seed=2)
    theirs = LogisticRegression(C=1e9, tol=1e-10).fit(scores[:, None], labels)
    expected = theirs.predict_proba(scores[:, None])[:, 1]
    np.testing.assert_allclose(fit_platt(scores, labels)(scores), expected, rtol=0.02)


def test_beta_has_the_least_log_loss_that_a_general_optimiser_finds() -> None:
    """Two slopes, of which the world really has two."""
    rng = np.random.default_rng(3)
    scores = rng.normal(size=20_000)
    odds = 0.5 * np.log(1 / (1 + np.exp(-scores))) + 3 * np.log(1 + np.exp(scores)) - 3.0
    labels = rng.random(20_000) < 1 / (1 + np.exp(-odds))
    z = (scores - scores.mean()) / scores.std()
    chance = 1 / (1 + np.exp(-z))

    def loss(slopes: np.ndarray) -> float:
        powers = chance ** slopes[0] / (1 - chance) ** slopes[1] * np.exp(slopes[2])
        given = powers / (1 + powers)
        return -float(np.mean(labels * np.log(given) + (1 - labels) * np.log(1 - given)))

    best = minimize(loss, np.array([1.0, 1.0, 0.0]), method="Nelder-Mead", options={"maxiter": 5000}).fun
    ours = fit_beta(scores, labels)
    assert ours.b > ours.a > 0
    assert loss(np.array([ours.a, ours.b, ours.c])) < best + 1e-5
    p = ours(scores)
    assert -np.mean(np.where(labels, np.log(p), np.log(1 - p))) == pytest.approx(best, abs=1e-5)


def test_the_method_that_fits_the_world_is_chosen() -> None:
    smooth = calibrate(*sample(30_000, 1.5, -2.0, seed=4))
    assert smooth.calibration.method in ("platt", "beta")  # of which platt is a part
    scores, _, folds = sample(30_000, 1.0, 0.0, seed=5)
    steps = np.select([scores < -0.5, scores < 0.5], [0.02, 0.5], 0.6)
    labels = np.random.default_rng(5).random(len(scores)) < steps
    assert calibrate(scores, labels, folds).calibration.method == "isotonic"


@pytest.mark.parametrize("name", METHODS)
def test_a_ranker_that_is_upside_down_gets_a_constant(name: str) -> None:
    """A probability never falls as the score rises: what is left is the base rate."""
    scores, labels, _ = sample(5000, -2.0, -1.0, seed=6)
    given = METHODS[name](scores, labels)(scores)
    assert np.ptp(given) < 0.02
    assert given.mean() == pytest.approx(labels.mean(), abs=0.01)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=4, max_size=60),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=20),
)
def test_whatever_was_fitted_is_a_probability_and_never_falls(
    rows: list[tuple[int, bool]], new: list[float]
) -> None:
    scores, labels = np.array([s for s, _ in rows], np.float32), np.array([y for _, y in rows])
    for fit in METHODS.values():
        given = fit(scores, labels)(np.sort(np.array(new, np.float32)))
        assert ((given >= 0) & (given <= 1)).all()
        assert all(later >= sooner - 1e-12 for sooner, later in pairwise(given.tolist()))  # last bits apart


def test_nothing_is_impossible_or_sure() -> None:
    scores = np.arange(100.0)
    curve = fit_isotonic(scores, scores >= 60)
    assert curve(np.array([-1e9]))[0] == pytest.approx(1 / 62)
    assert curve(np.array([1e9]))[0] == pytest.approx(41 / 42)
    for fit in (fit_platt, fit_beta):
        assert np.isfinite(np.log(fit(scores, scores >= 60)(np.array([0.0, 50.0, 99.0])))).all()


def test_too_little_is_no_probability() -> None:
    scores, labels, folds = sample(1000, 1.0, -2.0, seed=7)
    with pytest.raises(DataError, match="29 of 1,000 candidates happened; it takes 30"):
        calibrate(scores, labels & (np.cumsum(labels) <= 29), folds)
    with pytest.raises(DataError, match="some in each fold"):
        calibrate(scores, labels & (folds > 0), folds)


@pytest.mark.parametrize("name", METHODS)
def test_what_was_saved_is_loaded(name: str, tmp_path: Path) -> None:
    scores, labels, folds = sample(3000, 1.5, -2.0, seed=8)
    head = calibrate(scores, labels, folds).model_copy(update={"calibration": METHODS[name](scores, labels)})
    save_heads(tmp_path, {"event": head})
    assert load_heads(tmp_path) == {"event": head}
    np.testing.assert_array_equal(load_heads(tmp_path)["event"](scores), head(scores))


@pytest.mark.parametrize(
    "damage",
    [
        {"scores": [1.0, 0.0]},
        {"probabilities": [0.5, 0.1]},
        {"probabilities": [0.5, 1.5]},
        {"probabilities": [0.5]},
        {"method": "magic"},
        {"scores": [0.0, None]},
    ],
)
def test_a_curve_that_falls_is_refused(damage: dict[str, object], tmp_path: Path) -> None:
    good = {"method": "isotonic", "scores": [0.0, 1.0], "probabilities": [0.1, 0.5]}
    head = {"calibration": good, "log_loss": {}, "rows": 10, "positives": 3}
    (tmp_path / "probabilities.json").write_text(json.dumps({"event": head}))
    assert load_heads(tmp_path)["event"](np.array([0.5]))[0] == pytest.approx(0.3)
    (tmp_path / "probabilities.json").write_text(json.dumps({"event": head | {"calibration": good | damage}}))
    with pytest.raises(BundleError, match=r"probabilities\.json"):
        load_heads(tmp_path)
