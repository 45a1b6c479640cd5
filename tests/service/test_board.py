"""What is read is what was written, whole, also while it is written and when the writer was killed."""

from __future__ import annotations

import os
import signal
from itertools import count, pairwise

from funnel.service.board import Board, ServedOutcome, health_of
from funnel.service.observing import Shared
from funnel.service.worker import Place
from funnel.serving.loaded import Refused


def outcome(number: int) -> ServedOutcome:
    refused = Refused(f"v{number}", "x" * (number * 37 % 9000), "now") if number % 2 else None
    return ServedOutcome(number, f"v{number}", float(number), number, number, number, refused)


def test_what_is_read_while_it_is_written_is_whole() -> None:
    board = Board()
    board.write(outcome(0))
    writer = os.fork()
    if writer == 0:
        for number in count(1):
            board.write(outcome(number))
    seen = []
    distinct = set[int]()
    while len(distinct) <= 10 or len(seen) < 2_000:
        found = board.read()
        cut = outcome(found.generation).refused
        assert found.version == f"v{found.generation}"
        assert (found.refused is None) == (cut is None)
        if found.refused is not None and cut is not None:
            assert found.refused.reason == cut.reason[:8000]
        seen.append(found.generation)
        distinct.add(found.generation)
    os.kill(writer, signal.SIGKILL)  # in the middle of it
    os.waitpid(writer, 0)
    assert seen == sorted(seen)
    last = board.read()
    assert last.version == f"v{last.generation}"
    board.write(outcome(7))
    assert board.read().generation == 7


def test_health_has_what_the_supervisor_knows() -> None:
    board, own = (
        Board(),
        {"reloads": 0, "refusals": 0, "refused": None, "reloaded_at": 1.0, "watching": False},
    )
    assert health_of(own, None) == own
    board.write(ServedOutcome(2, "v", 5.0, 3, 2, 1, Refused("w", "damaged", "now")))
    assert health_of(own, board) == {
        "reloads": 2, "refusals": 1, "reloaded_at": 5.0, "watching": True,
        "refused": {"version": "w", "reason": "damaged", "at": "now"},
    }  # fmt: skip


def test_generations_that_follow_one_another_count_in_rows_of_their_own() -> None:
    """For a while both count, and the supervisor does in the last row."""
    rows = [{Place(generation, number, 0, 0).row(3) for number in range(3)} for generation in range(1, 5)]
    for before, after in pairwise(rows):
        assert len(before) == len(after) == 3
        assert not before & after
    last = Shared.of(3, board=Board()).counters.workers - 1
    assert all(max(some) < last for some in rows)
