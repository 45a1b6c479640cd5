"""Neighbours that are written to files while they are counted: the same lists, and not in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from funnel.features import Statistics, covisitation
from funnel.features.array_file import PartsInFile, PartsInMemory, parts
from funnel.features.covisitation import fit_covisitation, fit_transitions
from funnel.types import Log


def log_of(events: int, users: int, items: int, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    return Log(
        users=rng.integers(users, size=events).astype(np.int32),
        items=rng.integers(items, size=events).astype(np.int32),
        times=np.sort(rng.integers(10**6, size=events)),
        n_users=users,
        n_items=items,
    )


@pytest.mark.parametrize("fit", [fit_covisitation, fit_transitions])
def test_lists_in_files_are_those_in_memory(
    fit: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covisitation, "_BLOCK", 7)
    log = log_of(600, 30, 50)
    here, there = fit(log), fit(log, folder=tmp_path)  # type: ignore[operator]
    for part in ("offsets", "items", "weights"):
        np.testing.assert_array_equal(getattr(here, part), getattr(there, part))
    assert here.offsets[-1] > 500


def test_saving_leaves_files_as_they_were_written(tmp_path: Path) -> None:
    log = log_of(600, 30, 50)
    fitted = Statistics.fit(log, log, folder=tmp_path / "a")
    names = [
        f"{name}.{part}.npy" for name in ("covisitation", "transitions") for part in ("items", "weights")
    ]
    before = {name: (tmp_path / "a" / name).stat() for name in names}
    fitted.save(tmp_path / "a")
    assert {name: (tmp_path / "a" / name).stat().st_mtime_ns for name in names} == {
        name: stat.st_mtime_ns for name, stat in before.items()
    }
    Statistics.fit(log, log).save(tmp_path / "b")
    for path in (tmp_path / "b").iterdir():
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes(), path.name
    fitted.save(tmp_path / "c")
    loaded = Statistics.load(tmp_path / "c")
    np.testing.assert_array_equal(loaded.covisitation.items, fitted.covisitation.items)


def test_memory_goes_by_events_and_items_and_not_by_lists(tmp_path: Path) -> None:
    log = log_of(100_000, 2_000, 5_000)
    fit_covisitation(log_of(100, 5, 10), folder=tmp_path)  # what is compiled is no part of it
    tracemalloc.start()
    lists = fit_covisitation(log, folder=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written = lists.items.nbytes + lists.weights.nbytes
    block = covisitation._BLOCK * 200 * 8 * 2  # one block's room, and its copy
    assert written > 7e6
    assert peak - block < 20 * len(log) + 60 * log.n_items


def test_parts_in_memory_are_let_go_when_they_are_joined() -> None:
    array = PartsInMemory(np.float32)
    for number in range(20):
        array.add(np.full(number, number, dtype=np.float32))
    whole = array.whole()
    assert whole.tolist() == np.repeat(np.arange(20), np.arange(20)).tolist()
    assert len(array.whole()) == 0


def test_a_file_is_what_numpy_loads_however_many_parts_it_has(tmp_path: Path) -> None:
    array = PartsInFile(tmp_path / "x.npy", np.int32)
    for number in range(300):
        array.add(np.full(number, number, dtype=np.int64))
    whole = array.whole()
    expected = np.repeat(np.arange(300), np.arange(300)).astype(np.int32)
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    assert not whole.flags.writeable


def test_nothing_at_all_is_an_empty_array(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        assert parts(folder, "empty", np.int32).whole().tolist() == []
