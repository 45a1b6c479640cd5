"""`python -m benchmarks.quality` on small files of the same formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.funnels import configured
from benchmarks.quality.published import TABLES
from benchmarks.quality.result import Result
from funnel.errors import ConfigError
from tests.conftest import ROOT
from tests.processes import python


def run(*arguments: str | Path) -> str:
    done = python("-m", "benchmarks.quality", *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def beauty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walks around small groups of items, in the format of the Amazon sequences."""
    folder = tmp_path_factory.mktemp("beauty")
    rng = np.random.default_rng(0)
    lines = []
    for user in range(300):
        group, start, n = rng.integers(12), rng.integers(10), rng.integers(5, 12)
        items = 1 + group * 10 + (start + np.arange(n)) % 10
        lines.append(f"{user + 1} {' '.join(map(str, dict.fromkeys(items.tolist())))}")
    (folder / "Beauty.txt").write_text("\n".join(lines) + "\n")
    about = {str(item): [item // 10 + 1] for item in range(1, 121)}
    (folder / "Beauty_item2attributes.json").write_text(json.dumps(about))
    return folder


SMALL = ["towers.d=16", "towers.epochs=2", "ranker.trees=5", "retrieve.k=30", "evaluate.latency_requests=2"]


def test_two_seeds_of_a_funnel_beside_the_published_table(beauty: Path, tmp_path: Path) -> None:
    changes = [part for change in SMALL for part in ("--set", change)]
    where = ["--work", tmp_path / "work", "--results", tmp_path / "results"]
    out = run("amazon-beauty", "--data", beauty, "--seeds", "2", "--label", "small", *changes, *where)
    assert "BSARec" in out
    assert ".0611" in out
    paths = sorted((tmp_path / "results").iterdir())
    assert [path.name for path in paths] == ["amazon-beauty-small-0.json", "amazon-beauty-small-1.json"]
    first, second = (Result.model_validate_json(path.read_text()) for path in paths)
    assert (first.seed, second.seed, first.label) == (0, 1, "small")
    assert first.checksum == second.checksum
    assert {"popular", "recent-popular", "co-visitation", "exact", "retrieve"} <= set(first.rows)
    assert '"path": null' in paths[0].read_text()
    for row in first.rows.values():
        assert row["hr@10"] == row["recall@10"]
        assert row["ndcg@10"].lo <= row["ndcg@10"].mean <= row["ndcg@10"].hi
    assert first.config["towers"]["epochs"] == 2  # type: ignore[call-overload,index]
    assert first.seconds["total"] > 0
    assert first.peak_memory_mib > 10
    assert "torch" in first.versions


def test_the_ranker_alone_on_graded_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, queries in (("train", 60), ("vali", 20), ("test", 20)):
        lines = []
        for query in range(queries):
            for _ in range(20):
                x = rng.random(46)
                grade = int(x[3] > 0.6) + int(x[3] > 0.9)
                values = " ".join(f"{n + 1}:{value:.4f}" for n, value in enumerate(x))
                lines.append(f"{grade} qid:{query} {values} #doc")
        (tmp_path / f"{part}.txt").write_text("\n".join(lines) + "\n")
    changes = ("--set", "min_data_in_leaf=20", "--set", "seed=4")
    out = run("mq2008", "--data", tmp_path, "--results", tmp_path, *changes)
    assert "CatBoost" in out
    result = Result.model_validate_json((tmp_path / "mq2008-4.json").read_text())
    assert result.rows["rank"]["ndcg@10"].mean > 0.9
    assert result.config["min_data_in_leaf"] == 20


def test_a_change_is_checked_as_the_config_is(beauty: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'towers\.epoch'; did you mean 'epochs'"):
        configured("amazon-beauty", beauty, 0, ["towers.epoch=2"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing-of-the-kind"], "did not come with this installation"),
        (["mq2008"], "cannot be read as LETOR"),
        (["amazon-beauty", "--set", "towers.d"], "not a key and a TOML value"),
        (["mq2008", "--set", "leaf=3"], "leaf"),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = python("-m", "benchmarks.quality", *arguments, "--data", tmp_path, cwd=ROOT)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_every_published_figure_has_a_source() -> None:
    for lines in TABLES.values():
        for line in lines:
            assert line.source
            assert all(0 < figure < 1 for figure in line.figures.values())
