"""One id that is far longer than the others takes its own length, not everyone's."""

from __future__ import annotations

import tracemalloc

import pandas as pd
import pytest

from funnel.data import Dataset, Schema

SHORT = [f"one-{number:08d}" for number in range(20_000)]


def peak(ids: list[str], key: str) -> int:
    """Bytes at the peak while a data set of such ids is read and its ids are looked up."""
    other = {"user_id": "item_id", "item_id": "user_id"}[key]
    events = pd.DataFrame({key: pd.Series(ids, dtype="str"), other: 1, "time": range(len(ids))})
    tracemalloc.start()
    dataset = Dataset.from_frames(Schema(), events)
    assert len(dataset.log.users) == len(ids)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("key", ["user_id", "item_id"])
def test_one_long_id_does_not_multiply_memory(key: str) -> None:
    peak(SHORT[:100], key)  # what is imported when it is first used
    usual = peak(SHORT, key)
    for length in (2_000, 100_000):
        assert peak([*SHORT[:-1], "x" * length], key) < 2 * usual + (1 << 20) + 20 * length
