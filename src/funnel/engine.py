"""The funnel: stages in order, and the hook that times and traces each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from funnel.errors import ConfigError
from funnel.stages import Stage
from funnel.types import Candidates, Requests


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage left, and how long it took for the whole batch."""

    name: str
    candidates: Candidates
    seconds: float


class Funnel:
    """An ordered list of stages, each of which keeps fewer places or orders them better. Immutable.

    Raises: ConfigError for no stage or two of one name.
    """

    __slots__ = ("_stages",)

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        if not stages or len(set(self.names)) < len(stages):
            raise ConfigError(f"the stages are {list(self.names)}; at least one is needed, each name once")

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

    def trace(self, requests: Requests) -> list[Step]:
        """What each stage leaves, with its seconds. Two clock readings a stage are all that it costs more."""
        candidates, steps = Candidates.empty(len(requests)), []
        for stage in self._stages:
            start = perf_counter()
            candidates = stage(requests, candidates)
            steps.append(Step(stage.name, candidates, perf_counter() - start))
        return steps
