"""A first day with hardly any users: a bundle that keeps the retrieval order, and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.pipeline import build, prepare, train_towers
from funnel.ranker.config import FOLDS


def write(folder: Path, users: int) -> Path:
    """events.parquet, in which users take turns."""
    rng = np.random.default_rng(0)
    n = 60 * users
    events = {"user_id": np.arange(n) % users + 1, "item_id": rng.integers(1, 80, n)}
    folder.mkdir()
    pd.DataFrame({**events, "time": 1_700_000_000 + 600 * np.arange(n)}).to_parquet(folder / "events.parquet")
    (folder / "schema.json").write_text('{"clock": "time"}')
    return folder


@pytest.mark.parametrize("users", [1, FOLDS - 1, FOLDS])
def test_it_is_built_and_serves(users: int, tmp_path: Path) -> None:
    config = configs.parse(
        {
            "name": "few",
            "data": {"reader": "folder", "path": str(write(tmp_path / "data", users))},
            "split": {"protocol": "event", "ranker": 0.6, "test": 0.8},
            "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 1, "history": 10},
            "ranker": {"trees": 5, "objective": "rank_xendcg"},
            "evaluate": {"ks": [10], "latency_requests": 3},
        }
    )
    prepared = prepare(config)
    store = Store(tmp_path / "indexes")
    built = build(prepared, train_towers(prepared, Store(tmp_path / "embeddings")), store)
    told = any(f"it takes {FOLDS} to hold some out" in note for note in built.report.notes)
    assert told == (users < FOLDS)
    live = Live(store.folder, built.version)
    assert (live.contents.ranker is None) or users >= FOLDS
    assert len(live.recommend("nobody", 5).items) == 5
    live.close()
