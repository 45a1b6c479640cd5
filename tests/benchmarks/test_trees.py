"""`benchmarks.trees` asks its processes, and compares their scores."""

from __future__ import annotations

import sys
from pathlib import Path

import lightgbm
import numpy as np

from benchmarks.trees import Way, difference, summary
from benchmarks.trees_data import Case


def test_ways_answer_in_turn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 50, 4)).astype(np.float32)
    data = lightgbm.Dataset(rows.reshape(-1, 4), rows[..., 0].ravel())
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}, data, 3)
    booster.save_model(tmp_path / "small.txt")
    np.save(tmp_path / "lists.npy", rows)
    case = Case("lists", "small", 2, "")
    ways = [Way(name, Path(sys.executable), tmp_path) for name in ("funnel-1", "booster-1")]
    for way in ways:
        assert way.ask(case, 0, "check") == 0
        assert way.ask(case, 1, 2) > 0
        way.close()
    assert difference(tmp_path, "funnel-1", case) == 0
    np.testing.assert_array_equal(
        np.load(tmp_path / "booster-1-lists.npy")[1], booster.predict(rows[1], raw_score=True)
    )


def test_ratios_are_taken_round_by_round() -> None:
    found = summary(
        {"funnel": [1e-3, 2e-3, 4e-3], "other": [3e-3, 4e-3, 40e-3]}, {"funnel": 0, "other": 1e-7}
    )
    assert found["other"]["ms"] == 4
    assert found["other"]["times_funnel"] == 3
    assert found["funnel"] == {
        "ms": 2, "quartiles": [1.5, 3], "times_funnel": 1, "largest_difference": 0,
    }  # fmt: skip
