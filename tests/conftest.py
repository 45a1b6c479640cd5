"""Shared fixtures."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, and before torch is loaded
# A worker and its processes have a thread each for arithmetic, as there are more workers than cores: threads
# of one step that wait for each other made builds take twice as long. Tests of threads ask for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers give way to all others: beside other tests they took twelve times as long.
os.environ.setdefault("RAY_worker_niceness", "0")

from tests import tiny
from tests.once import once

ROOT = Path(__file__).resolve().parents[1]

# A test never asserts a time; what fifty examples do not find, those of the next run may.
settings.register_profile("tests", deadline=None, max_examples=50)
settings.load_profile("tests")

#: What takes longest is begun first, so that all workers end at the same time. The store of off_policy's
#: test_harm.py needs code that nothing else has compiled; others who use it come later, and find it.
#: Of the first three only one needs the bundle of `built`, for which others would wait.
LONGEST = [
    "off_policy/test_harm.py", "scale/test_cluster.py", "test_run.py", "test_docs.py",
    "test_impressions.py", "monitoring/test_watching.py", "service/test_generations.py",
    "data/test_batches.py", "init/test_forms.py", "test_cli.py", "gates/test_spoilt.py",
    "init/test_roles.py", "init/test_command.py", "serving/test_items.py",
    "gates/test_reference.py", "test_pipeline.py", "off_policy/test_replay.py", "plugins/test_package.py",
    "context/test_worth.py", "bundle/test_numbers.py", "serving/state/test_servers.py",
    "index/test_shards.py", "test_compiling.py", "towers/test_train.py",
]  # fmt: skip


def _not_waited_for(fd: Any) -> None:
    """In place of os.fsync in tests' own process: only a power cut could tell."""


def pytest_configure() -> None:
    gc.disable()  # what is collected now stays, and to look for garbage among it took a third of the time
    gc.set_threshold(20_000, 50, 50)  # later it took a tenth
    os.fsync = _not_waited_for


@pytest.hookimpl(tryfirst=True)  # before what is marked is left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what takes long. Files of LONGEST before all others; else the order stays."""
    mark_long(items, whole=not any("::" in given for given in config.args))
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def mark_long(items: list[pytest.Item], whole: bool) -> None:
    """Those of long.txt. whole: each file that was collected was so as a whole. Raises: pytest.UsageError for
    a line that names none of its tests."""
    lines = (ROOT / "tests" / "long.txt").read_text().splitlines()
    long = {line for line in lines if line and not line.startswith("#")}
    files, named = set(), set()
    for item in items:
        file, _, name = item.nodeid.removeprefix("tests/").partition("::")
        files.add(file)
        if found := {file, f"{file}::{name}", f"{file}::{name.partition('[')[0]}"} & long:
            named |= found
            item.add_marker(pytest.mark.long)
    unknown = [line for line in long - named if line.partition("::")[0] in files]
    if whole and unknown:
        raise pytest.UsageError(f"tests/long.txt names what is no test: {', '.join(sorted(unknown))}")


def pytest_collection_finish() -> None:
    stays()
    gc.enable()


def stays() -> None:
    """What there is now is there to the end: a collection of garbage, which took 0.7 s, does not look through
    it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A folder of real data by name; the test is skipped where it is absent.

    The place is FUNNEL_TEST_DATA, or `../shared/data` beside the checkout.
    """
    base = Path(os.environ.get("FUNNEL_TEST_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        folder = base / name
        if not folder.is_dir():
            pytest.skip(f"real data {name} is not at {base}; set FUNNEL_TEST_DATA to run this")
        return folder

    return find


@pytest.fixture(scope="session")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in MovieLens's latest-small format: 300 users, 200 movies, tastes by genre."""

    def write(folder: Path) -> Path:
        tiny.write_movies(folder, users=300, movies=200, seed=0)
        return folder

    return once(tmp_path_factory, "movies-of-tests", write)


@pytest.fixture(scope="session")
def built(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> tiny.TinyBuild:
    """A bundle of those movies, built and published once for all tests. Do not change its store."""
    made = once(tmp_path_factory, "store", lambda folder: tiny.build_movies(movies, folder))
    stays()  # the libraries that are loaded by then have millions of objects
    return made
