"""The serving benchmarks run on any bundle and say what they measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import read_latency
from benchmarks.derived import more_users
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.catalogue.users import Users
from funnel.errors import DataError
from tests.processes import python
from tests.tiny import TinyBuild

ROOT = Path(__file__).parents[2]
ROWS = ["retrieve", "filter", "rank", "rerank", "beside the stages", "Live.recommend"]


def run(name: str, built: TinyBuild, folder: Path, *options: object) -> list[dict[str, Any]]:
    """What is in the files, in the order of their names."""
    # A process of its own: it keeps itself on one core.
    done = python(
        "-m", f"benchmarks.{name}", "--indexes", built.indexes, "--trees", 12, "--leaves", 7,
        "--work", folder / "work", "--results", folder, *options, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = sorted(folder.glob(f"{name}-*.json"), key=lambda path: (len(path.name), path.name))
    assert all(path.with_suffix(".png").stat().st_size > 1000 for path in found)
    told: list[dict[str, Any]] = [json.loads(path.read_text()) for path in found]
    assert all(about["trees"] == 12 and str(folder) not in json.dumps(about) for about in told)
    return told


def users_of(built: TinyBuild) -> Users:
    return load_contents(Store(built.indexes).path("current")).users


def test_latency_is_that_of_a_call_beside_its_stages_and_the_glue(built: TinyBuild, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    n = len(users_of(built).ids)
    (about,) = run("latency", built, tmp_path, "--requests", 60, "--repeats", 2)
    assert (about["users"], len(about["runs"])) == (n, 2)
    assert list(about["milliseconds"]) == [*ROWS, "glue"]
    assert set(about["milliseconds_beside_the_stages"]) == {"state", "request", "response"}
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in about["milliseconds"].values())
    mean = {name: row["mean"] for name, row in about["milliseconds"].items()}
    assert sum(mean[name] for name in ROWS[:-1]) == pytest.approx(mean["Live.recommend"], abs=0.001)


def test_latency_with_more_users_is_given_as_times_that_with_fewer(built: TinyBuild, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ("--users", 1000, "--users", 3000, "--requests", 60, "--repeats", 1)
    few, many = run("latency", built, tmp_path, *options)
    assert (few["users"], many["users"]) == (1000, 3000)
    assert "glue" in few["milliseconds"]
    assert list(many["milliseconds"]) == ROWS
    assert many["times_the_p50_of"]["users"] == 1000
    (store,) = (tmp_path / "work").glob("*/indexes")
    for one in Store(store).versions():
        Store(store).verify(one.version)
        contents = load_contents(store / one.version)
        assert len(contents.users.ids) == int(one.name.split("-")[1])
        assert contents.ranker is not None
        assert contents.ranker.trees == 12
    assert len(Store(store).versions()) == 2


def test_more_users_have_histories_and_columns_of_real_ones(built: TinyBuild) -> None:
    real = users_of(built)
    n = len(real.ids)
    many = more_users(real, 2 * n + 7, seed=3)
    assert many.ids.values[:n].tolist() == real.ids.values.tolist()
    assert len(np.unique(many.ids.values)) == len(many.history) == len(many.history_times) == 2 * n + 7
    assert many.ids.rows(many.ids.values).tolist() == list(range(2 * n + 7))  # they are found, so sorted

    def lists(users: Users) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        pairs = ((users.history[row], users.history_times[row]) for row in range(len(users.ids)))
        return [(tuple(items.tolist()), tuple(times.tolist())) for items, times in pairs]

    assert lists(many)[:n] == lists(real)
    assert set(lists(many)) == set(lists(real))
    assert len(set(lists(many)[n:])) > n / 3  # drawn, not one again and again
    for name, values in many.features.items():
        assert len(values) == 2 * n + 7
        assert {row.tobytes() for row in values} <= {row.tobytes() for row in np.asarray(real.features[name])}


def test_fewer_users_are_refused(built: TinyBuild) -> None:
    real = users_of(built)
    with pytest.raises(DataError, match="cannot be made"):
        more_users(real, len(real.ids) - 1)


def test_throughput_is_given_by_batch_and_threads(built: TinyBuild, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (about,) = run("throughput", built, tmp_path, "--users", 64, "--batch", 32, "--rounds", 1)
    ways = [(row["users_a_call"], row["threads"]) for row in about["rows"]]
    assert ways == [(1, 1), (1, 2), (32, 1), (32, 2)]
    assert all(row["users_a_second"] > 0 for row in about["rows"])


def test_reads_of_memory_go_through_all_of_it_one_behind_the_other() -> None:
    ring, at, seen = read_latency._ring(64, seed=3), 0, []
    for _ in range(64):
        seen.append(at)
        at = int(ring[at])
    assert at == 0
    assert sorted(seen) == list(range(0, 64 * 8, 8))  # a line of cache each
    assert seen != sorted(seen)
    assert list(read_latency.read_latency((16, 64), reads=10)) == ["16 KiB", "64 KiB"]
