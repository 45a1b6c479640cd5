"""What lists are worth by the config's own expression, before and behind the stage that orders by it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation.walk import Observer
from funnel.stages import ExpectedValue
from funnel.types import Candidates, Examples, Int32, Int64


@dataclass
class ValueTally:
    """The mean over requests of the summed expected value of the first k: as ranked, and by value."""

    expected: ExpectedValue
    k: int
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    requests: int = 0
    _ranked: Candidates | None = None

    @classmethod
    def of(cls, contents: Contents, k: int) -> ValueTally | None:
        """None where nothing is ordered by value."""
        return None if contents.expected_value is None else cls(contents.expected_value, k)

    def before(self, also: Observer) -> Observer:
        """For the ranker's stage, whose scores are needed later; `also` gets them too."""

        def observe(examples: Examples, numbers: Int64, candidates: Candidates) -> None:
            also(examples, numbers, candidates)
            self._ranked = candidates

        return observe

    def after(self, examples: Examples, numbers: Int64, candidates: Candidates) -> None:
        """For the stage that orders by value."""
        ranked, self.requests = self._ranked, self.requests + len(examples)
        assert ranked is not None
        moment = examples.requests.context_numbers
        values = self.expected.of(ranked.items, ranked.scores, moment, ranked.head_scores).values
        order = np.argsort(ranked.items, axis=1)
        rows = np.take_along_axis(ranked.items, order, axis=1)
        for at, items in enumerate((ranked.items[:, : self.k], candidates.items[:, : self.k])):
            self.sums[at] += sum(
                _sum(values[row], order[row], rows[row], items[row]) for row in range(len(items))
            )

    @property
    def sentence(self) -> str:
        """Both figures in words."""
        ranked, valued = (total / max(1, self.requests) for total in self.sums)
        what = f"expected value of the first {self.k} of a request"
        return f"{what}: by value {valued:.6f}; as ranked {ranked:.6f}"


def _sum(values: np.ndarray, order: Int64, rows: Int32, items: Int32) -> float:
    """The known values of some items of one list. order: of the list's items by row; rows: in that order."""
    some = items[items >= 0]
    return float(np.nansum(values[order[np.searchsorted(rows, some)]]))
