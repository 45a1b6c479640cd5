"""The Open Bandit Dataset's logs as the benchmark reads them, and what it measures, on a log made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.open_bandit import measure, read


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two logs of 6 items at three positions: item 3 is clicked by half of those that look, others hardly."""
    rng = np.random.default_rng(0)
    for policy in ("random", "bts"):
        n, folder = 3000, tmp_path / policy
        folder.mkdir()
        item, position = rng.integers(0, 6, n), rng.integers(1, 4, n)
        chance = np.where(item == 3, 0.5, 0.03) * np.array([1, 0.5, 0.25])[position - 1]
        log = pd.DataFrame(
            {"timestamp": pd.date_range("2019-11-24", periods=n, freq="min", tz="UTC"), "item_id": item,
             "position": position, "click": (rng.random(n) < chance).astype(int), "propensity_score": 1 / 6,
             "user_feature_0": rng.choice(list("abcdefgh"), n)}
        )  # fmt: skip
        for each in range(6):
            log[f"user-item_affinity_{each}"] = float(each == 2)
        log.to_csv(folder / "all.csv")
        kinds = pd.DataFrame(
            {"item_id": range(6), "item_feature_0": np.arange(6.0), "item_feature_1": list("uvwxyz")}
        )
        kinds.to_csv(folder / "item_context.csv")
    return tmp_path


def test_rows_have_their_item_and_its_affinity_in_the_order_of_time(logs: Path) -> None:
    log = read(logs)
    assert len(log) == 6000
    assert log["timestamp"].is_monotonic_increasing
    assert sorted(log["position"].unique()) == [0, 1, 2]
    assert (log["affinity"] == (log["item_id"] == 2)).all()
    assert (log["item_feature_0"] == log["item_id"]).all()


def test_what_can_be_learned_is_learned(logs: Path) -> None:
    found = measure(logs)
    assert (found["rows"], found["learned"]) == (6000, 3600)
    assert found["positions"] == pytest.approx([1, 0.5, 0.25], abs=0.15)
    trees, same = found["heads"]["trees"], found["heads"]["the same of every row"]
    assert trees["auc"] > 0.75
    assert trees["normalised_entropy"]["hi"] < 0.9 < same["normalised_entropy"]["lo"]
    assert trees["ratio"]["lo"] < 1.1
