"""The funnel: stages in order, and the hook that times, traces and, when time is short, skips them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from funnel.errors import ConfigError
from funnel.stages import Skippable, Stage
from funnel.types import Candidates, Requests

#: Weight of the newest run in a stage's expected time, an exponential mean.
_NEWEST = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage left, how long it took for the whole batch, and whether it was skipped."""

    name: str
    candidates: Candidates
    seconds: float
    skipped: bool = False


class Funnel:
    """An ordered list of stages, each of which keeps fewer places or orders them better. Thread-safe.

    Raises: ConfigError for no stage or two of one name.
    """

    __slots__ = ("_expected", "_stages")

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        if not stages or len(set(self.names)) < len(stages):
            raise ConfigError(f"the stages are {list(self.names)}; at least one is needed, each name once")
        # Seconds a request, by stage; two threads that write at once lose one of their runs, no more.
        self._expected = [0.0] * len(stages)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in order."""
        return self._stages

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, in order."""
        return tuple(stage.name for stage in self._stages)

    def __call__(self, requests: Requests) -> Candidates:
        """What the last stage leaves."""
        candidates = Candidates.empty(len(requests))
        for stage in self._stages:
            candidates = stage(requests, candidates)
        return candidates

    def trace(self, requests: Requests, *, seconds: float | None = None) -> list[Step]:
        """What each stage leaves, with its time. Two clock readings a stage are all that it costs more.

        seconds: for the whole batch. A stage that can be left out (`Skippable`) is skipped when, going by how
        long it has taken so far, it would end later; what finds and filters candidates always runs.
        """
        candidates, steps = Candidates.empty(len(requests)), []
        began = perf_counter()
        for place, stage in enumerate(self._stages):
            start = perf_counter()
            late = seconds is not None and start - began + self._expected[place] * len(requests) > seconds
            if late and isinstance(stage, Skippable):
                candidates = stage.skip(candidates)
                steps.append(Step(stage.name, candidates, perf_counter() - start, skipped=True))
                continue
            candidates = stage(requests, candidates)
            taken = perf_counter() - start
            self._learn(place, taken / max(1, len(requests)))
            steps.append(Step(stage.name, candidates, taken))
        return steps

    def _learn(self, place: int, seconds: float) -> None:
        before = self._expected[place]
        self._expected[place] = seconds if before == 0 else before + _NEWEST * (seconds - before)
