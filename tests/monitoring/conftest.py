"""A `Live` of the small movies that logs its answers, and what watches it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from funnel import Live
from funnel.impressions import ImpressionsConfig
from tests.tiny import TinyBuild


@pytest.fixture
def indexes(built: TinyBuild, tmp_path: Path) -> Path:
    """A store of this test alone."""
    return Path(shutil.copytree(built.indexes, tmp_path / "indexes"))


@pytest.fixture
def live(indexes: Path) -> Iterator[Live]:
    """What answers, and logs all that makes an answer again."""
    live = Live(indexes, impressions=ImpressionsConfig(log=True, sample=1))
    yield live
    live.close()
