"""A few of the kills of `python -m benchmarks.faults`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.faults import campaign, under_load
from benchmarks.faults_live import missed, mistaken, states
from benchmarks.faults_record import Change
from tests.processes import context
from tests.tiny import write_movies


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its processes are forked")
@pytest.mark.parametrize("kills", [9, 30])
def test_killed_builders_publishers_and_changers_lose_nothing(kills: int, tmp_path: Path) -> None:
    context()  # it would start one that has less loaded, for the whole run
    data = tmp_path / "data"
    data.mkdir()
    write_movies(data, users=80, movies=60, seed=0)
    found = campaign(tmp_path, data, kills=kills, seed=1)
    assert sum(found["moments"].values()) == kills
    assert {name.split(":")[0] for name in found["moments"]} == {"build", "swap", "items"}


@pytest.mark.parametrize("seconds", [3, 20])
def test_processes_that_are_killed_and_cannot_write_lose_nothing_acknowledged(
    seconds: int, tmp_path: Path
) -> None:
    found = under_load(tmp_path, seconds=seconds, kills=2, full=1, seed=2)
    assert not any(found["faults"].values()), found["examples"]
    done = found["done"]
    assert done.get("kills", 0) + done.get("kills while starting", 0) == 2
    assert done["clock jumps"] == 3
    for disk, what in (("full disk", "full disks"), ("broken disk", "half seconds of EIO")):
        assert (disk in found["skipped"]) != (what in done)
    assert {what for what, ways in found["changes"].items() if ways["kept"]} == {
        "click",
        "upsert",
        "patch",
        "delete",
    }
    assert found["after"]["answers"] == 10
    assert found["after"]["checked"]["users"] > 0


def test_what_is_lost_or_kept_wrongly_is_found() -> None:
    clicks = [
        Change("click", 1, item, outcome)
        for item, outcome in ((5, "kept"), (6, "refused"), (7, "unknown"), (8, "kept"))
    ]
    assert missed(clicks, [5, 8]) is None
    assert missed(clicks, [5, 7, 8]) is None
    for wrong in ([5, 7], [8], [8, 5], [5, 6, 8], [5, 8, 8], []):
        assert missed(clicks, wrong) is not None
    changes = [
        Change("upsert", 1, 1990.0, "kept"), Change("patch", 1, 1991.0, "refused"),
        Change("delete", 1, 0.0, "unknown"), Change("patch", 1, 1992.0, "kept"),
    ]  # fmt: skip
    possible = states(changes, (False, None))
    assert possible == {(True, 1992.0), (False, 1990.0)}
    assert mistaken(possible, True, 1992.0) is None
    assert mistaken(possible, False, None) is None
    assert mistaken(possible, True, 1991.0) is not None
    assert mistaken(states(changes[:1], (False, None)), False, None) is not None
