"""A store with a sound bundle published, and bundles made from spoilt inputs to be published over it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from funnel.artifacts import Store
from funnel.pipeline import prepare, train_towers
from tests.once import once
from tests.tiny import TinyBuild, movie_config
from tests.undrawn import build

#: Spoilt inputs show with few trees, too.
FEW = {"trees": 20, "leaves": 7, "lists": 400, "objective": "rank_xendcg"}


@dataclass(frozen=True)
class Two:
    """A store with a sound bundle published, and another one that could be."""

    folder: Path
    second: str


@pytest.fixture(scope="session")
def two(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Made once. Do not change it; `store` is a copy."""

    def make(folder: Path) -> Two:
        indexes = Path(shutil.copytree(built.indexes, folder / "indexes"))
        other = {"trees": 60, "leaves": 14, "lists": 500, "objective": "rank_xendcg"}
        config = movie_config(built.config.data.path, ranker=other)
        return Two(indexes, build(prepare(config), sound(built), Store(indexes)).version)

    return once(tmp_path_factory, "two", make)


@pytest.fixture
def store(two: Two, tmp_path: Path) -> Store:
    """A copy of the store, with the sound bundle published."""
    shutil.copytree(two.folder, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


@pytest.fixture
def second(two: Two) -> str:
    """The version of the other sound bundle."""
    return two.second


def sound(built: TinyBuild) -> Path:
    """The towers of the sound bundle."""
    kept = Store(built.embeddings)
    return kept.path(kept.versions()[0].version)


@pytest.fixture
def towers(built: TinyBuild) -> Path:
    """The towers of the sound bundle."""
    return sound(built)


@pytest.fixture
def rebuild(store: Store, tmp_path: Path) -> Callable[..., str]:
    """Build from a data folder into the store, with towers that are given or trained; the version."""

    def run(data: Path, trained: Path | None = None, **sections: Any) -> str:
        prepared = prepare(movie_config(data, **{"ranker": FEW, **sections}))
        trained = trained or train_towers(prepared, Store(tmp_path / "embeddings"))
        return build(prepared, trained, store).version

    return run
