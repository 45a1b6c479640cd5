"""`funnel evaluate` writes lists, what was right and every request's figures for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import funnel
from tests.processes import python
from tests.test_docs import as_toml
from tests.tiny import TinyBuild


@pytest.fixture
def config(built: TinyBuild, tmp_path: Path) -> Path:
    path = tmp_path / "movies.toml"
    written = built.config.model_dump(mode="json", exclude_defaults=True)
    path.write_text(as_toml(written))
    return path


def test_from_the_command_line(built: TinyBuild, config: Path, tmp_path: Path) -> None:
    files = [
        "--run",
        "run.trec",
        "--row",
        "retrieve",
        "--qrels",
        "qrels.trec",
        "--per-request",
        "all.parquet",
    ]
    command = ["-m", "funnel", "evaluate", str(config), "--store", str(built.indexes), "--json", *files]
    done = python(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    frame = pd.read_parquet(tmp_path / "all.parquet")
    for row in report["rows"]:
        found = frame.loc[frame["row"] == row["name"], "ndcg@10"].mean()
        assert found == pytest.approx(row["metrics"]["ndcg@10"]["mean"], abs=1e-12)
    users = set(built.prepared.dataset.user_ids.tolist())
    assert set(frame["user_id"]) <= users
    lines = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    assert max(int(line[3]) for line in lines) > 50  # whole lists, not what is shown
    right = {tuple(line.split()[::2]) for line in (tmp_path / "qrels.trec").read_text().splitlines()}
    hits = sum((line[0], line[2]) in right for line in lines)
    (retrieve,) = (row for row in report["rows"] if row["name"] == "retrieve")
    assert hits == retrieve["hits"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run", "nowhere/run.trec"], "there is no folder nowhere"),
        (["--per-request", "all.xlsx"], "ends in .parquet or .csv"),
        (["--run", "run.trec", "--row", "rnak"], "no row 'rnak' in the report; did you mean"),
        (["--row", "rank"], "give --run, too"),
        (["--output", "a-file/below"], "a-file is a file; a folder, or one to be made, is expected"),
        (["--run", "a.trec", "--qrels", "./a.trec"], "name different ones"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_measured(
    built: TinyBuild, config: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "a-file").touch()
    command = ["-m", "funnel", "evaluate", str(config), "--store", str(built.indexes), *arguments]
    done = python(*command, cwd=tmp_path)
    assert done.returncode != 0
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Evaluating" not in done.stderr
    assert "Traceback" not in done.stderr


def test_from_python_the_last_stage_is_kept(built: TinyBuild) -> None:
    found = funnel.measure(funnel.Store(built.indexes), "current", built.prepared)
    assert list(found.lists) == ["rerank"]
    shown = found.run()
    assert max(map(len, shown.values())) == 10
    ids = {str(one) for one in built.prepared.dataset.item_ids.tolist()}
    assert {item for items in shown.values() for item in items} <= ids
