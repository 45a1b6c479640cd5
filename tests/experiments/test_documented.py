"""What the page on experiments says was measured is what the files of the benchmarks hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import ROOT

PAGE = " ".join((ROOT / "docs" / "experiments.md").read_text().split())


def result(name: str) -> dict[str, Any]:
    text = (ROOT / "benchmarks" / "results" / f"evidence-{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


ROWS = {
    "z of requests as if independent, looked at every day": "by request, daily looks",
    "z by users, looked at every day": "by user, daily looks",
    "z by users, on the last day alone": "declared horizon",
    "confidence sequence, looked at every day": "sequence, daily looks",
    "sequence on any day or z on the last, as experiments are ended": "either, as experiments are ended",
}


@pytest.mark.parametrize("row", ROWS)
def test_how_often_equal_arms_are_told_apart(row: str) -> None:
    found = result("aa")
    cells = [
        percent(found[metric][ROWS[row]]["share"]) if ROWS[row] in found[metric] else ""
        for metric in ("clicks a request", "revenue a user")
    ]
    assert f"| {row} | {cells[0]} | {cells[1]} |".replace("|  |", "| |") in PAGE
    assert f"{found['runs']:,} experiments" in PAGE


def test_goals_of_equal_arms_are_kept() -> None:
    found = result("aa")
    for metric in ("clicks a request", "revenue a user"):
        assert found[metric]["sequence, daily looks"]["share"] <= 0.05
        assert 0.04 <= found[metric]["declared horizon"]["share"] <= 0.06
    assert found["sample ratio"]["share"] <= 0.01
    assert f"was raised in {percent(found['sample ratio']['share'])} of them" in PAGE


def test_what_stated_sizes_find() -> None:
    found = result("power")
    plain, world = found["clicks a request"], found["synthetic world"]
    for name in ("plain", "CUPED"):
        assert 0.76 <= plain["found"][name]["share"] <= 0.84
        assert f"{plain['users'][name]:,}" in PAGE
        assert percent(plain["found"][name]["share"]) in PAGE
    assert plain["users saved by CUPED"] >= 0.2
    assert f"{percent(plain['users saved by CUPED'])} fewer users" in PAGE
    assert world["times the users of interleaving"]["A/B, clicks a user"] >= 20
    for name, users in world["users"].items():
        share, times = world["found"][name]["share"], world["times the users of interleaving"][name]
        assert f"| {name} | {users:,} | {percent(share)} | {times} |" in PAGE


def test_what_shadows_and_a_second_bundle_cost() -> None:
    found = result("shadow")
    loaded, memory = found["at saturation"], found["MiB"]
    low, high = loaded["interval"]
    assert f"is {loaded['p99, with over without']:.2f} times" in PAGE
    assert f"of {low:.2f} to {high:.2f}" in PAGE
    linked = memory["two, equal files one"]
    assert f"one {linked['resident']:.0f} and {linked['private']:.0f}" in PAGE
    assert linked["private"] < memory["two, files apart"]["private"]
