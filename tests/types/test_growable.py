"""Arrays with room behind them, over files that stay as they are."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from funnel.types import Ragged, growable


@pytest.mark.parametrize("shape", [(3,), (3, 5), (2000,), (2000, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
def test_a_mapped_array_can_be_written_to_and_its_file_stays(tmp_path: Path, shape, dtype) -> None:
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    before = (tmp_path / "a.npy").read_bytes()
    made = growable(np.load(tmp_path / "a.npy", mmap_mode="r"), len(values) + 3000, 1)
    assert made.shape == (len(values) + 3000, *shape[1:])
    assert made.dtype == dtype
    np.testing.assert_array_equal(made[: len(values)], values)
    assert (made[len(values) :] == 1).all()
    made[:] = 0
    made[-1] = 1
    assert (tmp_path / "a.npy").read_bytes() == before
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), values)


def test_views_that_are_frozen_or_cut_are_followed_to_their_offset_in_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(40_000, dtype=np.int32).reshape(-1, 2))
    part = np.load(tmp_path / "a.npy", mmap_mode="r")[7:11].view(np.ndarray)
    np.testing.assert_array_equal(growable(part, 6), [[14, 15], [16, 17], [18, 19], [20, 21], [0, 0], [0, 0]])


def test_an_array_in_memory_is_copied_and_an_empty_one_grows(tmp_path: Path) -> None:
    values = np.arange(4.0)
    made = growable(values, 6, np.nan)
    made[0] = 7
    assert values[0] == 0
    assert np.isnan(made[4:]).all()
    np.save(tmp_path / "none.npy", np.empty((0, 3), np.float32))
    assert growable(np.load(tmp_path / "none.npy", mmap_mode="r"), 2).tolist() == [[0] * 3] * 2


def test_what_is_not_used_is_given_back(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(1 << 20))

    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("a.npy")

    made = growable(np.load(tmp_path / "a.npy", mmap_mode="r"), 1 << 21)
    view = made[3:]
    del made
    gc.collect()
    assert view[0] == 0
    assert maps() == 1
    del view
    gc.collect()
    assert maps() == 0


def test_a_few_lists_out_of_many_touch_these_alone() -> None:
    n = 1_000_000
    every = Ragged(np.arange(2 * n, dtype=np.int32), np.arange(n + 1, dtype=np.int64) * 2)
    every.take(np.array([1]))
    tracemalloc.start()
    taken = every.take(np.array([n // 2, -1, 5]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [part.tolist() for part in (taken[0], taken[1], taken[2])] == [[n, n + 1], [], [10, 11]]
    assert peak < 100_000
