"""Candidates of whole lists, as they are when it serves, with what came of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.calibration import EVENT
from funnel.ranker.membership import contains
from funnel.types import Bool, Candidates, Examples, Float32, Int32, Int64, Ragged

#: Candidates that are kept: enough for a probability, and bounded memory. Beyond, requests are drawn.
MOST_ROWS = 2_000_000


@dataclass
class Outcomes:
    """Scores and labels of lists, a row a candidate, without a weight: every negative is there once.

    share: of the requests that are kept, whole lists each. seed: of those that are drawn. head: whose scores
    they are. kind: the code of the events that count; None for all that are to be found.
    """

    share: float
    seed: int
    head: str = EVENT
    kind: int | None = None
    _scores: list[Float32] = field(default_factory=list)
    _labels: list[Bool] = field(default_factory=list)
    _items: list[Int32] = field(default_factory=list)
    _requests: list[Int64] = field(default_factory=list)
    _examined: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    @classmethod
    def bounded(
        cls, requests: int, width: int, seed: int, head: str = EVENT, kind: int | None = None
    ) -> Outcomes:
        """For lists of so many requests, of up to `width` candidates: about MOST_ROWS are kept at most."""
        return cls(min(1.0, MOST_ROWS / max(1, requests * width)), seed, head, kind)

    def add(self, ranked: Candidates, targets: Ragged, numbers: NDArray[Any]) -> None:
        """Take in a batch. ranked: with the ranker's scores. targets: what was taken, a list a request.
        numbers: [B], what each request is called in `requests`.
        """
        kept = np.flatnonzero(self._rng.random(len(ranked)) < self.share)
        some = ranked.take(kept)
        filled = some.filled
        requests = np.repeat(np.asarray(numbers, dtype=np.int64)[kept], filled.sum(axis=1))
        labels = contains(targets.take(kept), some.items)[filled]
        scores = some.head_scores.get(self.head, some.scores)[filled]
        self.add_rows(scores, labels, some.items[filled], requests, np.ones(len(labels)))

    def add_rows(
        self,
        scores: Float32,
        labels: Bool,
        items: Int32,
        requests: Int64,
        examined: NDArray[np.float64],
    ) -> None:
        """Take in rows as they are: [n] each."""
        self._scores.append(scores)
        self._labels.append(labels)
        self._items.append(items)
        self._requests.append(requests)
        self._examined.append(examined)

    def observe(self, examples: Examples, numbers: Int64, ranked: Candidates) -> None:
        """`add` for a walk over examples."""
        some = examples if self.kind is None else examples.of_kind(self.kind)
        self.add(ranked, some.targets, numbers)

    @property
    def scores(self) -> Float32:
        """The ranker's: float32 [N]."""
        return _joined(self._scores, np.float32)

    @property
    def examined(self) -> NDArray[np.float64]:
        """How far each row was looked at, 1 where it is a candidate: float64 [N]."""
        return _joined(self._examined, np.float64)

    @property
    def labels(self) -> Bool:
        """Whether the item was taken: bool [N]."""
        return _joined(self._labels, np.bool_)

    @property
    def items(self) -> Int32:
        """Item rows: int32 [N]."""
        return _joined(self._items, np.int32)

    @property
    def requests(self) -> Int64:
        """The number of each row's request: int64 [N], as it was added."""
        return _joined(self._requests, np.int64)


def _joined(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
