"""A few of the kills of `python -m benchmarks.faults`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.faults import campaign
from tests.processes import context
from tests.tiny import write_movies


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its processes are forked")
def test_killed_builders_publishers_and_changers_lose_nothing(tmp_path: Path) -> None:
    context()  # it would start one that has less loaded, for the whole run
    data = tmp_path / "data"
    data.mkdir()
    write_movies(data, users=80, movies=60, seed=0)
    found = campaign(tmp_path, data, kills=9, seed=1)
    assert sum(found["moments"].values()) == 9
    assert {name.split(":")[0] for name in found["moments"]} == {"build", "swap", "items"}
