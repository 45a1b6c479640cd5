"""Work on many requests, a chunk a thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from funnel.evaluation.chunks import each_chunk
from funnel.types import Examples, Ragged, Requests


def examples(n: int) -> Examples:
    empty = Ragged.from_lists([[] for _ in range(n)])
    requests = Requests(
        users=np.arange(n, dtype=np.int32),
        times=np.zeros(n, dtype=np.int64),
        history=empty,
        history_times=Ragged.from_lists([[] for _ in range(n)], np.int64),
        user_features={},
    )
    return Examples(requests, Ragged.from_lists([[i] for i in range(n)]))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 100])
def test_each_request_is_worked_on_once_and_in_order(n: int) -> None:
    parts = list(each_chunk(lambda part: part.requests.users.tolist(), examples(n), size=4))
    assert [user for part in parts for user in part] == list(range(n))
    assert all(len(part) == 4 for part in parts[:-1])


def test_results_do_not_pile_up_before_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    lock, started = threading.Lock(), [0]

    def work(part: Examples) -> int:
        with lock:
            started[0] += 1
        return len(part)

    results = each_chunk(work, examples(100), size=1)
    next(results)
    assert started[0] <= 4
    assert sum(results) == 99


def test_what_goes_wrong_in_a_thread_is_raised() -> None:
    def work(part: Examples) -> int:
        raise ValueError("a chunk")

    with pytest.raises(ValueError, match="a chunk"):
        list(each_chunk(work, examples(9), size=2))
