"""The funnel: stages in order, and the hook that times, traces and, when time is short, skips them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from funnel.durations import Durations
from funnel.errors import ConfigError
from funnel.stages import Skippable, Stage
from funnel.types import Candidates, Requests

#: The name of the stage whose scores are the ranker's.
RANK = "rank"


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of a trace: the candidates it left, its seconds for the whole batch, whether it was
    skipped.
    """

    name: str
    candidates: Candidates
    seconds: float
    skipped: bool = False

    def of(self, rows: NDArray[Any] | slice) -> Step:
        """The same of some of the requests."""
        return Step(self.name, self.candidates.take(rows), self.seconds, self.skipped)


class Funnel:
    """An ordered list of stages, each of which keeps fewer positions or orders them better. Thread-safe.

    durations: how long stages took so far, where several funnels share it; default one of its own.
    clock: seconds, rising.

    Raises: ConfigError for no stage or two of one name.
    """

    __slots__ = ("_clock", "_durations", "_needed", "_skippable", "_stages")

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        durations: Durations | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._stages = tuple(stages)
        if not stages or len(set(self.names)) < len(stages):
            raise ConfigError(f"the stages are {list(self.names)}; at least one is needed, each name once")
        self._durations = Durations() if durations is None else durations
        self._clock = clock
        # Looked up once: to look for a method costs more than all else that a trace does.
        self._skippable = tuple(stage if isinstance(stage, Skippable) else None for stage in self._stages)
        self._needed = tuple(getattr(stage, "needs", None) for stage in self._stages)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in order."""
        return self._stages

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, in order."""
        return tuple(stage.name for stage in self._stages)

    def __call__(self, requests: Requests) -> Candidates:
        """The candidates that the last stage leaves."""
        candidates = Candidates.empty(len(requests))
        for stage in self._stages:
            candidates = stage(requests, candidates)
        return candidates

    def trace(self, requests: Requests, *, seconds: float | None = None) -> list[Step]:
        """The candidates that each stage leaves, with its time. A clock reading a stage is about all that it
        costs more.

        seconds: for the whole batch. A stage that can be left out (`Skippable`) is skipped when the time is
        over, or when more than one in ten of its latest runs would have ended later; then it is tried again
        now and then (see `Runs`). What finds and filters candidates always runs.
        """
        candidates, steps, skipped = Candidates.empty(len(requests.users)), list[Step](), set[str]()
        start = self._clock()
        end = math.inf if seconds is None else start + seconds
        for stage, skippable, needed in zip(self._stages, self._skippable, self._needed, strict=True):
            runs = None if skippable is None else self._durations.of(stage.name, candidates.items.size)
            idle = needed in skipped
            late = runs is not None and seconds is not None and runs.leave_out(end - start)
            if skippable is not None and (idle or late):
                skipped.add(stage.name)
                candidates, runs, skip = skippable.skip(candidates), None, True
            else:
                candidates, skip = stage(requests, candidates), False
            stop = self._clock()
            if runs is not None:
                runs.ran(stop - start, end - start)
            steps.append(Step(stage.name, candidates, stop - start, skip))
            start = stop
        return steps
