"""The benchmarks of ads: what they build, and how a day of budgets is judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ads import BUNDLES, PLAIN, Row, config_of, merged, show
from benchmarks.ads_measure import _of, _top
from benchmarks.budgets import CURVE, HOURS, Day, budgets, judged, times_of
from funnel.evaluation.walk import discounted
from funnel.rules.pacing import planned


@pytest.mark.parametrize("quick", [True, False])
def test_each_bundle_leaves_out_what_it_says(quick: bool, tmp_path: Path) -> None:
    whole = config_of(quick, 3, tmp_path / "world")
    assert len(whole.rules) == 5
    assert whole.rank.value is not None
    assert whole.seed == 3
    assert whole.data.synthetic is not None
    assert whole.data.synthetic.seed == 3
    assert whole.data.synthetic.ads is not None
    for name, sections in BUNDLES.items():
        config = config_of(quick, 3, tmp_path / "world", **sections)
        assert (config.context.columns == ()) == (name == "without context")
        assert config.ranker.impressions == (name != "without what was shown")
        assert (config.ranker.propensity == "none") == (name == "clicks count the same")
        assert config.data == whole.data
    assert not config_of(quick, 3, tmp_path / "world", **PLAIN).context.clock


def test_sections_are_laid_over_one_another() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}) == {"a": {"b": 3, "c": 2}, "d": 4}


def plan(limits: np.ndarray) -> np.ndarray:
    """What is planned by the end of each hour, from the day's start: [hours + 1, campaigns]."""
    curve = tuple(map(float, CURVE))
    shares = np.array([planned(curve, hour * 3600) for hour in range(HOURS)] + [1.0])
    return shares[:, None] * limits


def test_a_day_is_judged_by_its_plan_and_by_what_is_over() -> None:
    limits = np.array([100.0, np.nan, 50.0])
    spent = plan(np.array([100.0, 400.0, 50.0]))
    most = np.array([2.0, 3.0, 1.0])
    natural = np.array([200.0, 400.0, 75.0])
    kept = judged(Day(spent, most, limits, 1000), natural, 4)
    assert kept["campaigns with a budget"] == kept["campaigns within 5% of their budget"] == 2
    assert kept["spent of all budgets"] == 1
    assert kept["a campaign, furthest from plan at an hour"] == 0
    assert kept["overspent by more than a request a process"] == 0
    assert kept["spent without budgets"] == pytest.approx(275 / 150, abs=1e-3)
    late = spent.copy()
    late[-1] = [109.0, 400.0, 54.5]
    over = judged(Day(late, most, limits, 1000), natural, 4)
    assert over["overspent by more than a request a process"] == 2
    assert over["campaigns within 5% of their budget"] == 0
    assert over["most spent of a budget"] == 1.09
    fewer = judged(Day(late, most, limits, 1000), natural, 5)
    assert fewer["overspent by more than a request a process"] == 0  # five were on their way


def test_requests_come_along_the_curve_and_every_second_campaign_has_a_budget() -> None:
    times = times_of(50_000, 86_400, np.random.default_rng(0))
    assert (np.diff(times) >= 0).all()
    often = np.bincount((times - 86_400) // 3600, minlength=HOURS) / 50_000
    np.testing.assert_allclose(often, np.array(CURVE) / sum(CURVE), atol=0.005)
    natural = np.array([5.0, 0.0, 9.0, 7.0])
    limits = budgets(natural, np.random.default_rng(0))
    assert np.isnan(limits[[1, 3]]).all()
    assert (limits[[2, 0]] >= 0.4 * natural[[2, 0]]).all()
    assert (limits[[2, 0]] <= 0.8 * natural[[2, 0]]).all()


def test_shares_are_of_the_best_list() -> None:
    gains = np.array([[0.1, 0.5, 0.3, 0.2]], dtype=np.float32)
    most = discounted(gains, np.array([[1, 2]], dtype=np.int32))
    assert most[0] == pytest.approx(0.5 + 0.3 / np.log2(3))
    truths = [(gains, most), (gains, most)]
    assert _of(truths, np.array([[1, 2]], dtype=np.int32))[0][0] == pytest.approx(1)
    assert _of(truths, np.array([[2, 1]], dtype=np.int32))[1][0] < 1
    found = _top(gains, np.array([[0, 3, 1, -1]], dtype=np.int32))
    assert found[0, :3].tolist() == [1, 3, 0]


def test_a_row_that_was_not_measured_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    rows = [Row("a", "≤ 1", "2", False), Row("b", "≤ 1", "1", True), Row("c", "≤ 1", "no heads", None)]
    show(rows, Console(width=120))
    text = capsys.readouterr().out
    assert "does not hold" in text
    assert "not measured" in text


def test_rows_can_be_written_down() -> None:
    assert json.dumps(vars(Row("a", "≤ 1", "2", np.bool_(True))))  # type: ignore[arg-type]
