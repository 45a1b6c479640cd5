"""Trees for a probability: what is learned where not every row was looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from funnel.ranker import Ranker, RankerConfig
from funnel.ranker.calibration import Seen, base_rate, calibrate
from funnel.ranker.calibration.sigmoid import _derivatives, _tails
from funnel.ranker.outcome_trees import Examined, OutcomeRows
from funnel.ranker.target_trees import cross_fit, grow

CONFIG = RankerConfig(trees=80, leaves=7, min_data_in_leaf=50, learning_rate=0.1)


def world(n: int, seed: int) -> tuple[OutcomeRows, np.ndarray]:
    """Rows whose first feature says how much an item is liked. What is liked less stood higher, so that
    clicks alone say the opposite."""
    rng = np.random.default_rng(seed)
    liked = rng.integers(0, 3, n)
    truth = np.array([0.15, 0.2, 0.3])[liked]
    examined = np.clip(np.array([0.9, 0.5, 0.2])[liked] * rng.uniform(0.8, 1.1, n), 0.05, 1)
    matrix = np.column_stack([liked, rng.normal(size=n)]).astype(np.float32)
    happened = rng.random(n) < truth * examined
    folds = rng.integers(0, 3, n)
    return OutcomeRows(matrix, ("liked", "chance"), happened, examined, np.ones(n), folds), truth


def test_the_gradient_is_that_of_the_log_loss() -> None:
    rows, _ = world(40, seed=0)
    loss = Examined(rows)
    scores = np.random.default_rng(1).normal(size=40)

    def total(at: np.ndarray) -> float:
        chance = rows.examined / (1 + np.exp(-(at + loss.start)))
        return -float(np.where(rows.happened, np.log(chance), np.log(1 - chance)).sum())

    gradient, curvature = loss(scores)
    np.testing.assert_allclose(gradient, approx_fprime(scores, total, 1e-7), atol=1e-4)
    assert (curvature > 0).all()
    assert loss.gain(scores)[1] == pytest.approx(-total(scores) / 40)


def test_what_is_liked_is_found_though_clicks_alone_say_the_opposite() -> None:
    rows, truth = world(60_000, seed=2)
    rates = [rows.happened[rows.matrix[:, 0] == level].mean() for level in range(3)]
    assert rates[0] > rates[1] > rates[2]
    models, trees = cross_fit(rows, CONFIG)
    held_out = np.empty(len(rows))
    for fold, model in enumerate(models):
        inside = rows.folds == fold
        held_out[inside] = Ranker(model, rows.names, CONFIG).predict(rows.matrix[inside])
    head = calibrate(held_out, rows.happened, rows.folds, Seen(rows.examined, rows.weights))
    chances = head(Ranker(grow(rows, trees, CONFIG), rows.names, CONFIG).predict(rows.matrix))
    for level in range(3):
        inside = rows.matrix[:, 0] == level
        assert chances[inside].mean() == pytest.approx(truth[inside][0], abs=0.02)
    assert set(head.log_loss) == {"platt", "beta"}


def test_a_row_that_stands_for_several_counts_as_several() -> None:
    rows, _ = world(3000, seed=3)
    weights = np.random.default_rng(4).integers(1, 4, 3000)
    heavy = OutcomeRows(
        rows.matrix, rows.names, rows.happened, rows.examined, weights.astype(float), rows.folds
    )
    copied = rows.take(np.repeat(np.arange(3000), weights))
    scores = np.random.default_rng(5).normal(size=3000)
    one, many = Examined(heavy, 0.0), Examined(copied, 0.0)
    assert one.gain(scores)[1] == pytest.approx(many.gain(np.repeat(scores, weights))[1])
    seen, all_seen = Seen(heavy.examined, heavy.weights), Seen(copied.examined, copied.weights)
    first = calibrate(scores, rows.happened, rows.folds, seen)
    second = calibrate(np.repeat(scores, weights), copied.happened, copied.folds, all_seen)
    assert first.log_loss["platt"] == pytest.approx(second.log_loss["platt"], rel=1e-3)


def test_the_same_rows_give_the_same_trees_whatever_the_threads() -> None:
    rows, _ = world(4000, seed=6)
    one, two = (grow(rows, 20, CONFIG.model_copy(update={"threads": threads})) for threads in (1, 2))
    assert Ranker(one, rows.names, CONFIG).predict(rows.matrix).tolist() == (
        Ranker(two, rows.names, CONFIG).predict(rows.matrix).tolist()
    )


def test_too_few_have_the_rate_of_all() -> None:
    happened = np.array([True, False, False, False])
    head = base_rate(happened, Seen(np.array([1.0, 0.5, 0.5, 1.0]), np.full(4, 10.0)))
    np.testing.assert_allclose(head(np.array([-9.0, 0.0, 9.0])), 11 / 32)
    assert base_rate(happened[:0], Seen.all(0))(np.zeros(1)) == pytest.approx(0.5)


def test_calibration_finds_the_chance_of_what_is_looked_at() -> None:
    """Beside a general optimiser on the same likelihood."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(7)
    scores, examined = rng.normal(size=20_000), rng.choice([1.0, 0.4, 0.1], 20_000)
    chance = 1 / (1 + np.exp(-(1.4 * scores - 1.0)))
    happened = rng.random(20_000) < chance * examined
    head = calibrate(scores, happened, rng.integers(0, 3, 20_000), Seen(examined, np.ones(20_000)))

    def loss(x: np.ndarray) -> float:
        p = examined / (1 + np.exp(-(x[0] * scores + x[1])))
        return -float(np.where(happened, np.log(p), np.log(1 - p)).mean())

    best = minimize(loss, np.array([1.0, 0.0]))
    assert head.log_loss["platt"] == pytest.approx(best.fun, abs=5e-4)
    levels = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(head(levels), 1 / (1 + np.exp(-(1.4 * levels - 1.0))), atol=0.04)


def test_the_slopes_of_calibration_are_those_of_its_loss() -> None:
    rng = np.random.default_rng(8)
    z, examined = rng.normal(size=50), rng.choice([1.0, 0.6, 0.2], 50)
    rows = (_tails(z), rng.random(50) < 0.3, examined, rng.uniform(1, 3, 50), 0.01, 0.98)
    at = np.array([0.7, 0.4, -0.5])
    loss, gradient, information = _derivatives(*rows, at)
    numeric = approx_fprime(at, lambda x: _derivatives(*rows, x)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)
    assert (np.linalg.eigvalsh(information) > 0).all()
    # The loss itself, of a row at a time.
    odds = at[0] * -np.logaddexp(0, -z) + at[1] * np.logaddexp(0, z) + at[2]
    chance = examined / (1 + np.exp(-odds))
    target = np.where(rows[1], 0.98, 0.01)
    each = -target * np.log(chance) - (1 - target) * np.log(1 - chance)
    assert loss == pytest.approx((rows[3] * each).sum() / rows[3].sum())


def begun(n: int, seed: int) -> tuple[OutcomeRows, np.ndarray]:
    """Rows whose first feature has the log odds but for what the second one adds."""
    rng = np.random.default_rng(seed)
    known, more = rng.normal(-1, 1, n), rng.integers(0, 2, n)
    truth = 1 / (1 + np.exp(-(known + 0.8 * more - 1.2)))
    examined = rng.choice([1.0, 0.4], n)
    matrix = np.column_stack([known, more, rng.normal(size=n)]).astype(np.float32)
    happened = rng.random(n) < truth * examined
    names = ("known", "more", "chance")
    return OutcomeRows(matrix, names, happened, examined, np.ones(n), rng.integers(3, size=n), "known"), truth


def test_trees_correct_what_scores_begin_with() -> None:
    rows, truth = begun(20_000, seed=8)
    models, trees = cross_fit(rows, CONFIG)
    plain = replace(rows, begin=None)
    others, more_trees = cross_fit(plain, CONFIG)
    assert trees < more_trees
    corrected, alone = (np.empty(len(rows)) for _ in range(2))
    for fold in range(3):
        inside = rows.folds == fold
        matrix = rows.matrix[inside]
        corrected[inside] = Ranker(models[fold], rows.names, CONFIG, begin="known").predict(matrix)
        alone[inside] = Ranker(others[fold], rows.names, CONFIG).predict(matrix)
    log_odds = np.log(truth / (1 - truth))
    assert np.corrcoef(corrected, log_odds)[0, 1] > max(0.98, np.corrcoef(alone, log_odds)[0, 1])


def test_the_start_is_that_of_the_greatest_likelihood_beside_what_scores_begin_with() -> None:
    rows, _ = begun(3000, seed=9)
    start = Examined(rows).start
    best = Examined(rows, start).gain(np.zeros(3000))[1]
    for other in (start - 0.02, start + 0.02):
        assert Examined(rows, other).gain(np.zeros(3000))[1] < best
