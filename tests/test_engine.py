"""The funnel: stages in order, traced."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

from funnel.engine import Funnel
from funnel.errors import ConfigError
from funnel.stages import Diversify, Filter, Retrieve, Top
from funnel.types import Candidates, Ragged, Requests


@dataclass(frozen=True)
class Everything:
    """A source that returns items 0…k − 1 to everyone."""

    name: str = "everything"

    def find(self, requests: Requests, k: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.broadcast_to(np.arange(k, dtype=np.int32), (len(requests), k))
        return rows, -rows.astype(np.float32)


def ask(n: int) -> Requests:
    none = Ragged.empty(n)
    exclude = Ragged.from_lists([[0, 2]] * n)
    return Requests(np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.int64), none, none, exclude=exclude)


FUNNEL = Funnel([Retrieve([Everything()], 8), Filter(5), Top(3)])


def test_stages_run_in_order() -> None:
    assert FUNNEL.names == ("retrieve", "filter", "top")
    assert FUNNEL(ask(2)).items.tolist() == [[1, 3, 4]] * 2


def test_trace_shows_what_each_stage_left() -> None:
    steps = FUNNEL.trace(ask(2))
    assert [step.name for step in steps] == ["retrieve", "filter", "top"]
    assert [step.candidates.items.shape[1] for step in steps] == [8, 5, 3]
    assert all(step.seconds >= 0 for step in steps)
    np.testing.assert_array_equal(steps[-1].candidates.items, FUNNEL(ask(2)).items)
    with pytest.raises(FrozenInstanceError):
        steps[0].seconds = 0.0  # type: ignore[misc]


def test_nobody_asks() -> None:
    assert FUNNEL(ask(0)).items.shape == (0, 0)


def test_stages_are_not_changed_afterwards() -> None:
    stages = [Top(3)]
    funnel = Funnel(stages)
    stages.append(Top(2))
    assert len(funnel.stages) == 1
    with pytest.raises(AttributeError):
        funnel.stages = ()  # type: ignore[misc]


def test_a_stage_of_ones_own_is_a_callable_with_a_name() -> None:
    class Reverse:
        name = "reverse"

        def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
            return candidates.ranked_by(candidates.items.astype(np.float32))

    assert Funnel([*FUNNEL.stages, Reverse()])(ask(1)).items.tolist() == [[4, 3, 1]]


def test_names_are_unique_and_there_is_a_stage() -> None:
    with pytest.raises(ConfigError, match=r"\['top', 'top'\].*each name once"):
        Funnel([Top(3), Top(2)])
    with pytest.raises(ConfigError, match="at least one"):
        Funnel([])
    assert Funnel([Top(3), Top(2, name="shown")]).names == ("top", "shown")


class Backwards:
    """A stage that can be left out."""

    name = "backwards"

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        return candidates.ranked_by(candidates.items.astype(np.float32))

    def skip(self, candidates: Candidates) -> Candidates:
        return candidates


def test_without_time_what_can_be_left_out_is_and_the_steps_say_so() -> None:
    vectors = np.eye(8, dtype=np.float32)
    funnel = Funnel([*FUNNEL.stages[:2], Backwards(), Diversify(vectors, 0.5, pool=4, k=2)])
    hurried, unhurried = funnel.trace(ask(2), seconds=0.0), funnel.trace(ask(2), seconds=3600.0)
    assert [step.skipped for step in hurried] == [False, False, True, True]
    assert not any(step.skipped for step in unhurried)
    assert hurried[-1].candidates.items.tolist() == [[1, 3]] * 2
    assert unhurried[-2].candidates.items.tolist() == [[6, 5, 4, 3, 1]] * 2
    assert all(step.seconds >= 0 for step in hurried)
    assert not any(step.skipped for step in funnel.trace(ask(1)))
