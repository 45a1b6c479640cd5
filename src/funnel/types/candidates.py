"""What is left of the catalogue, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import plain
from funnel.order import Moved, moved, ranked
from funnel.types.arrays import Bool, Float32, Float64, Int8, Int32
from funnel.types.outcome import RulesOutcome


@dataclass(frozen=True, slots=True)
class Candidates:
    """The one value that walks the stages: for B requests and K positions, the items that are left.

    items: int32 [B, K], −1 = empty position; empty positions come last.
    scores: float32 [B, K], descending (ties by item row), −inf at empty positions.
    sources: the names of the S sources.
    source_scores: float32 [B, K, S], NaN where the source did not score the item.
    source_ranks: int32 [B, K, S], from 0, −1 where the source did not return the item.
    outcomes: what rules did to each list; empty where there were none. Behind rules the scores are the items'
        own, in an order that is the rules'.
    source_bests: float32 [B, S], the best score of each source among all that it returned for the request,
        where the positions are others than these; None where the best is at one of the positions.
    head_scores: scores of the ranker's further heads, by name, float32 [B, K]; none where there is no head
        with trees of its own.
    tiers: int8 [B, K]: an item of a higher tier stands behind all of lower ones, whatever is drawn; None
        where all are of one.
    propensities: float64 [B, K], the chance that each position had of its item, given the items above; 1 at
        empty positions. None where nothing was drawn.
    """

    items: Int32
    scores: Float32
    sources: tuple[str, ...]
    source_scores: Float32
    source_ranks: Int32
    outcomes: tuple[RulesOutcome, ...] = ()
    source_bests: Float32 | None = None
    head_scores: Mapping[str, Float32] = field(default_factory=dict)
    tiers: Int8 | None = None
    propensities: Float64 | None = None

    @classmethod
    def empty(cls, n: int, sources: tuple[str, ...] = ()) -> Candidates:
        """n requests without candidates: where a funnel starts."""
        return cls(
            items=np.empty((n, 0), dtype=np.int32),
            scores=np.empty((n, 0), dtype=np.float32),
            sources=sources,
            source_scores=np.empty((n, 0, len(sources)), dtype=np.float32),
            source_ranks=np.empty((n, 0, len(sources)), dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: NDArray[Any] | slice) -> Candidates:
        """The lists at these rows. A slice copies nothing."""
        some = range(len(self))[rows] if isinstance(rows, slice) else rows
        return Candidates(
            items=self.items[rows],
            scores=self.scores[rows],
            sources=self.sources,
            source_scores=self.source_scores[rows],
            source_ranks=self.source_ranks[rows],
            outcomes=tuple(self.outcomes[row] for row in some) if self.outcomes else (),
            source_bests=None if self.source_bests is None else self.source_bests[rows],
            head_scores=self.head_scores and {name: of[rows] for name, of in self.head_scores.items()},
            tiers=None if self.tiers is None else self.tiers[rows],
            propensities=None if self.propensities is None else self.propensities[rows],
        )

    @property
    def filled(self) -> Bool:
        """Positions that hold an item: bool [B, K]."""
        return self.items >= 0

    def reorder(
        self,
        columns: NDArray[Any],
        scores: Float32 | None = None,
        *,
        outcomes: tuple[RulesOutcome, ...] = (),
        propensities: Float64 | None = None,
    ) -> Candidates:
        """Positions taken by column index [B, K'], with new scores [B, K'] or the old ones carried along. A
        negative column is an empty position."""
        positions = moved(columns, self.items, self.scores, self.source_scores, self.source_ranks)
        return self._of(columns, positions, scores, outcomes, propensities)

    def ranked_by(self, scores: Float32) -> Candidates:
        """Reordered by scores [B, K], descending; ties by item row; empty positions last with −inf."""
        scores = np.asarray(scores, dtype=np.float32)  # a plugin's may be whole numbers
        return self._of(*ranked(self.items, scores, self.source_scores, self.source_ranks))

    def _of(
        self,
        columns: NDArray[Any],
        positions: Moved,
        scores: Float32 | None = None,
        outcomes: tuple[RulesOutcome, ...] = (),
        propensities: Float64 | None = None,
    ) -> Candidates:
        """Of positions that were moved by column index [B, K'], all else that is known of them; with other
        scores where they are given.
        """
        items, along, source_scores, source_ranks = positions
        return Candidates(
            items,
            along if scores is None else scores,
            self.sources,
            source_scores,
            source_ranks,
            outcomes,
            self.source_bests,
            self.head_scores and {name: _at(of, columns) for name, of in self.head_scores.items()},
            None if self.tiers is None else _at(self.tiers, columns),
            propensities,
        )

    def top(self, k: int) -> Candidates:
        """The first k positions."""
        if k >= self.items.shape[1]:
            return self
        items, scores, source_scores, source_ranks = plain(
            self.items[:, :k], self.scores[:, :k], self.source_scores[:, :k], self.source_ranks[:, :k]
        )
        return Candidates(
            items,
            scores,
            self.sources,
            source_scores,
            source_ranks,
            source_bests=self.source_bests,
            head_scores=self.head_scores and {name: of[:, :k] for name, of in self.head_scores.items()},
            tiers=None if self.tiers is None else self.tiers[:, :k],
            propensities=None if self.propensities is None else self.propensities[:, :k],
        )

    def keep(self, mask: Bool) -> Candidates:
        """Positions where mask [B, K] is false are emptied and moved behind the rest, the order kept."""
        kept = self.filled & mask
        columns = np.argsort(~kept, axis=1, kind="stable")
        moved = self.reorder(columns)
        gone = ~np.take_along_axis(kept, columns, axis=1)
        moved.items[gone] = -1
        moved.scores[gone] = -np.inf
        moved.source_scores[gone] = np.nan
        moved.source_ranks[gone] = -1
        return moved


def _at(values: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Values [B, K] by column index; any at an empty position."""
    if len(values) == 1:  # one request, for which NumPy's way over all rows takes longer than the work
        return values[0][columns[0]][None]
    return np.take_along_axis(values, columns, axis=1)
