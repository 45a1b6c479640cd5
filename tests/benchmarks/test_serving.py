"""The serving benchmarks run on any bundle and say what they measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import python
from tests.tiny import TinyBuild

ROOT = Path(__file__).parents[2]


def run(name: str, built: TinyBuild, folder: Path, *options: str) -> dict[str, object]:
    # A process of its own: it keeps itself on one core.
    done = python(
        "-m", f"benchmarks.{name}", "--indexes", built.indexes, "--trees", 12, "--leaves", 7,
        "--work", folder / "work", "--results", folder, *options, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = folder.glob(f"{name}-*.json")
    assert found.with_suffix(".png").stat().st_size > 1000
    about: dict[str, object] = json.loads(found.read_text())
    assert about["trees"] == 12
    return about


def test_latency_is_told_by_stage_and_beside_the_glue(built: TinyBuild, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    about = run("latency", built, tmp_path, "--requests", "60")
    rows = about["milliseconds"]
    assert list(rows) == ["retrieve", "filter", "rank", "rerank", "whole", "glue"]  # type: ignore[call-overload]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in rows.values())  # type: ignore[attr-defined]
    assert str(tmp_path) not in json.dumps(about)


def test_throughput_is_told_by_batch_and_threads(built: TinyBuild, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    about = run("throughput", built, tmp_path, "--users", "64", "--batch", "32", "--rounds", "1")
    ways = [(row["users_a_call"], row["threads"]) for row in about["rows"]]  # type: ignore[attr-defined]
    assert ways == [(1, 1), (1, 2), (32, 1), (32, 2)]
    assert all(row["users_a_second"] > 0 for row in about["rows"])  # type: ignore[attr-defined]
