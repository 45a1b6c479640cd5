"""A state of each kind, by the text that `Live` takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from funnel.artifacts import Store
from tests.servers import emptied, servers
from tests.tiny import TinyBuild


@pytest.fixture(scope="package")
def pool() -> Iterator[dict[str, Any]]:
    with servers() as started:
        yield started


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def where(request: pytest.FixtureRequest, pool: dict[str, Any], tmp_path: Path) -> str:
    """An empty state."""
    if request.param == "sqlite":
        return str(tmp_path / "state.sqlite")
    return str(emptied(request.param, pool).url)


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")
