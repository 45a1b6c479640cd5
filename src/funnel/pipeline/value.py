"""What the lists of each stage are worth by the config's own expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import RANK
from funnel.evaluation.walk import Observer
from funnel.serving.probabilities import scores_of
from funnel.stages import ExpectedValue
from funnel.types import Candidates, Examples, Float32, Int32, Int64


@dataclass
class ValueTally:
    """The mean over requests of the summed expected value of the first k of each stage's list.

    Every list is valued with the probabilities that the ranker's stage gives, also those in front of it; what
    the ranker did not get, or has no known value, is worth nothing.
    """

    expected: ExpectedValue
    k: int
    sums: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    _before: dict[str, Int32] = field(default_factory=dict)
    _ranked: Candidates | None = None
    _values: Float32 = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))

    @classmethod
    def of(cls, contents: Contents, k: int) -> ValueTally | None:
        """None where nothing is ordered by value."""
        return None if contents.expected_value is None else cls(contents.expected_value, k)

    def observers(self, stages: Sequence[str], also: Observer) -> dict[str, Observer]:
        """What watches each stage of a funnel, in their order; `also` gets what the ranker's leaves, too."""

        def rank(examples: Examples, numbers: Int64, candidates: Candidates) -> None:
            also(examples, numbers, candidates)
            self._rank(examples, candidates)

        def first(examples: Examples, numbers: Int64, candidates: Candidates) -> None:
            self._ranked, self._before = None, {stages[0]: candidates.items[:, : self.k]}

        others: dict[str, Observer] = {name: partial(self._observe, name) for name in stages}
        return others | {stages[0]: first, RANK: rank}

    @property
    def means(self) -> dict[str, float]:
        """By stage."""
        return {name: total / max(1, self.requests) for name, total in self.sums.items()}

    def _observe(self, stage: str, examples: Examples, numbers: Int64, candidates: Candidates) -> None:
        if self._ranked is None:  # the ranker comes later, and says what these are worth
            self._before[stage] = candidates.items[:, : self.k]
        else:
            self._add(stage, candidates.items[:, : self.k], self._ranked)

    def _rank(self, examples: Examples, ranked: Candidates) -> None:
        self._ranked, self.requests = ranked, self.requests + len(examples)
        moment = examples.requests.context_numbers
        values = self.expected.of(ranked.items, ranked.scores, moment, ranked.head_scores).values
        self._values = values.astype(np.float32)
        for stage, items in {**self._before, RANK: ranked.items[:, : self.k]}.items():
            self._add(stage, items, ranked)

    def _add(self, stage: str, items: Int32, ranked: Candidates) -> None:
        worth = sum(
            float(np.nansum(scores_of(some[some >= 0], listed, of)))
            for some, listed, of in zip(items, ranked.items, self._values, strict=True)
        )
        self.sums[stage] = self.sums.get(stage, 0.0) + worth
