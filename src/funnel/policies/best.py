"""The best list under rules, which a drawn list must not cost the rules more than."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funnel.features.arrays import frozen
from funnel.rules import Ruleset
from funnel.rules.layout import Solved
from funnel.rules.ruleset import Boosted
from funnel.types import Candidates, Float32, Int32, Int64, Occasion


@dataclass(frozen=True)
class Best:
    """Of one request. rows, scores, tiers: [n], the candidates in their order after boosts. solved: the best
    list, as positions in that order."""

    boosted: Boosted
    rows: Int32
    scores: Float32
    tiers: Int32
    solved: Solved

    def columns(self, given: Int64) -> Int64:
        """Columns of candidates as positions in the order after boosts; −1 stays."""
        position = np.empty(len(self.boosted.order), dtype=np.int64)
        position[self.boosted.order] = np.arange(len(position))
        return np.where(given < 0, -1, position[np.maximum(given, 0)]) if len(position) else given.copy()


def best_list(rules: Ruleset, candidates: Candidates, b: int, k: int, occasion: Occasion | None) -> Best:
    """Of the candidates at row b, k items."""
    m = int(np.count_nonzero(candidates.items[b] >= 0))
    items = candidates.items[b, :m]
    tiers = None if candidates.tiers is None else candidates.tiers[b, :m]
    boosted = rules.boosted(items, candidates.scores[b, :m], tiers)
    rows, scores = frozen(items[boosted.order]), frozen(boosted.scores[boosted.order])
    solved = rules.layout.solve(rows, k, occasion, b)
    return Best(boosted, rows, scores, frozen(boosted.tiers[boosted.order], np.int32), solved)
