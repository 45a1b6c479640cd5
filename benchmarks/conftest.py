"""A bundle to measure: small movies, built once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from funnel import Live
from tests import tiny


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    """2,000 movies and 1,000 users, published."""
    folder: Path = tmp_path_factory.mktemp("movies")
    tiny.write_movies(folder, users=1000, movies=2000, seed=0)
    return Live(tiny.build_movies(folder, folder, retrieve={"k": 500}).indexes)
