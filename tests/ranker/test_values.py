"""What events are worth: what trees learn, how their scores become values, and what is looked up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from funnel.data.worth import worth_after
from funnel.errors import BundleError
from funnel.ranker import Ranker, RankerConfig
from funnel.ranker.target_trees import cross_fit
from funnel.ranker.value_head import ValueHead, fit_value, flat, load_values, save_values
from funnel.ranker.value_trees import POWER, Tweedie, ValueRows
from funnel.types import EventKinds, Log

CONFIG = RankerConfig(trees=80, leaves=7, min_data_in_leaf=50, learning_rate=0.1, objective="binary")


def deviance(values: np.ndarray, mean: np.ndarray) -> float:
    """Half Tweedie's unit deviance by its integral ∫ (y − u) / u^p du from y to μ, in small steps."""
    total = 0.0
    for y, mu in zip(values, mean, strict=True):
        edges = np.linspace(y, mu, 20_001)
        middle = (edges[1:] + edges[:-1]) / 2
        total -= float(((y - middle) / middle**POWER * np.diff(edges)).sum())
    return total / len(values)


def test_the_gain_falls_as_the_deviance_rises_and_the_gradient_is_its() -> None:
    rng = np.random.default_rng(0)
    values, scores = rng.gamma(2.0, 5.0, 12), rng.normal(size=12)
    loss = Tweedie(values)
    mean = values.mean()

    def total(at: np.ndarray) -> float:
        return deviance(values / mean, np.exp(at))

    lost = total(np.zeros(12)) - total(scores)
    assert loss.gain(scores)[1] - loss.gain(np.zeros(12))[1] == pytest.approx(lost, rel=1e-5)
    gradient, curvature = loss(scores)
    np.testing.assert_allclose(gradient, 12 * approx_fprime(scores, total, 1e-6), rtol=1e-3, atol=1e-3)
    assert (curvature > 0).all()


def test_values_in_cents_give_the_trees_of_values_in_euros() -> None:
    values, scores = np.random.default_rng(1).gamma(1.0, 3.0, 50), np.linspace(-1, 1, 50)
    euros, cents = Tweedie(values)(scores), Tweedie(100 * values)(scores)
    np.testing.assert_allclose(euros, cents)


def world(n: int, seed: int) -> tuple[ValueRows, np.ndarray]:
    """Amounts that the first feature moves tenfold, one in five of them 0, with a long tail."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    truth = np.exp(1 + 0.8 * matrix[:, 0].astype(np.float64))
    values = truth / 0.8 * rng.lognormal(-0.5, 1.0, n) * (rng.random(n) < 0.8)
    return ValueRows(matrix, ("dear", "chance", "more"), values, rng.integers(3, size=n)), truth


def test_the_mean_of_each_slice_is_what_is_given_to_it() -> None:
    rows, truth = world(12_000, seed=2)
    assert rows.says_something
    texts, trees = cross_fit(rows, CONFIG)
    settings = CONFIG.model_copy(update={"trees": trees})
    scores = np.empty(len(rows))
    for fold, text in enumerate(texts):
        mine = rows.folds == fold
        scores[mine] = Ranker(text, rows.names, settings).predict(rows.matrix[mine])
    given = fit_value(scores, rows.values)(scores)
    assert given.sum() == pytest.approx(rows.values.sum())
    for part in np.array_split(np.argsort(rows.matrix[:, 0]), 6):
        assert given[part].mean() == pytest.approx(truth[part].mean(), rel=0.15)
    assert np.corrcoef(np.log(given), np.log(truth))[0, 1] > 0.95


def test_start_and_slope_are_those_of_the_greatest_likelihood() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(3, 2, 400)
    values = np.exp(-1 + 0.4 * scores) * rng.gamma(1.0, 1.0, 400)

    def lost(x: np.ndarray) -> float:
        return float((np.exp(x[0] + x[1] * scores) - values * (x[0] + x[1] * scores)).sum())

    best = minimize(lost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    head = fit_value(scores, values)
    assert [head.start, head.slope] == pytest.approx(best.x.tolist(), abs=1e-4)


def test_scores_that_say_the_opposite_or_nothing_give_the_mean() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0])
    for scores in (-values, np.zeros(4)):
        head = fit_value(scores, values)
        np.testing.assert_allclose(head(np.array([-5.0, np.inf, -np.inf])), 4.0)
    assert flat(np.zeros(3))(np.zeros(1)) == 0
    assert flat(np.empty(0))(np.zeros(1)) == 0


def test_too_little_says_nothing() -> None:
    rows, _ = world(60, seed=4)
    assert not rows.take(np.arange(20)).says_something
    assert not ValueRows(rows.matrix, rows.names, np.zeros(60), rows.folds).says_something
    assert not rows.take(np.arange(0)).says_something


events = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 6), st.integers(0, 1), st.integers(0, 9)),
    max_size=20,
)
wanted = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2), st.integers(0, 7)), max_size=8)


@given(happened=events, requests=wanted, code=st.sampled_from([None, 0, 1]))
def test_the_first_event_at_or_after_a_request_says_what_it_was_worth(
    happened: list[tuple[int, ...]], requests: list[tuple[int, ...]], code: int | None
) -> None:
    happened = sorted(happened, key=lambda event: event[2])
    users, items, times, kinds, values = np.array(happened, dtype=np.int64).reshape(-1, 5).T
    log = Log(
        users.astype(np.int32), items.astype(np.int32), times, 3, 3, kinds=kinds.astype(np.int8),
        values=values.astype(np.float32), event_kinds=EventKinds.alike(("click", "purchase")),
    )  # fmt: skip
    asked = np.array(requests, dtype=np.int64).reshape(-1, 3).T
    found = worth_after(log, code, asked[0].astype(np.int32), asked[1].astype(np.int32), asked[2])
    for (user, item, at), value in zip(requests, found, strict=True):
        later = [e[4] for e in happened if e[:2] == (user, item) and e[2] >= at and code in (None, e[3])]
        assert value == later[0] if later else np.isnan(value)


def test_heads_come_back_from_disk_and_damage_is_told(tmp_path: Path) -> None:
    heads = {"add-to-cart": ValueHead(start=1.5, slope=0.25, rows=7, mean=3.0)}
    save_values(tmp_path, {})
    assert load_values(tmp_path) == {}
    save_values(tmp_path, heads)
    assert load_values(tmp_path) == heads
    (tmp_path / "values.json").write_text('{"purchase": {"start": 0, "slope": -1, "rows": 1, "mean": 1}}')
    with pytest.raises(BundleError, match=r"values\.json"):
        load_values(tmp_path)
