"""A store whose published bundle draws its lists."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.pipeline import prepare
from tests.once import once
from tests.tiny import TinyBuild, movie_config
from tests.undrawn import build

RULES = [{"kind": "at_most", "column": "genres", "n": 3, "strict": True, "name": "genres"}]


@pytest.fixture(scope="session")
def exploring(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it; `store` is a copy."""
    return once(tmp_path_factory, "exploring", lambda folder: _published(built, folder / "indexes"))


def _published(built: TinyBuild, folder: Path) -> Path:
    """Build it of the same towers into a store, and publish it there."""
    few = {"trees": 20, "leaves": 7, "lists": 400, "objective": "rank_xendcg"}
    config = movie_config(
        built.config.data.path,
        ranker=few,
        rerank={"trade_off": 0.7},
        rules=RULES,
        gates={"holdout": 200, "latency_ms": 10_000.0, "visible_fall": 0.9},
        explore={"max_loss": 0.2, "share": 0.8},
    )
    kept = Store(built.embeddings)
    version = build(prepare(config), kept.path(kept.versions()[0].version), Store(folder)).version
    Store(folder).publish(version)
    Live(folder).close()  # compiles what draws lists: the other workers wait for this, and find it
    return folder


@pytest.fixture
def store(exploring: Path, tmp_path: Path) -> Path:
    """A copy."""
    shutil.copytree(exploring, tmp_path / "indexes")
    return tmp_path / "indexes"
