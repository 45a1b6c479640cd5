"""The benchmark of swaps, small: every answer is of one version and one state, whatever goes on."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.swaps import main


def test_swaps_under_load_are_seen_by_nobody(tmp_path: Path) -> None:
    main(
        items=400, rounds=1, requests=150, paced=50, trees=10, leaves=7, work=tmp_path, results=tmp_path
    )  # two loads, a swap in each block of either
    about = json.loads((tmp_path / "swaps.json").read_text())
    assert about["n_errors"] == 0, about["errors"]
    assert about["swaps"] == 2
    found = about["answers"]["all blocks"]
    for fault in ("of another version", "from two states", "not filtered", "deleted items", "fewer than k"):
        assert found.get(fault, 0) == 0, fault
    assert found["requests"] >= 400
    assert about["answers"]["blocks with a swap"]["requests"] >= 200
    assert found["with changed items"] >= 40
    assert min(about["upserts"], about["deletes"]) > 0
    assert about["compaction"]["overlap@10"] == 1
    assert set(about["milliseconds"]["paced"]) == {"changes", "swap", "during a swap"}
    assert str(tmp_path) not in json.dumps(about)
