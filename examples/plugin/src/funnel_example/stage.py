"""A stage: no more than so many items in a row of one first value of a column, such as a genre."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import funnel


@funnel.register("stage", "variety")
class Variety:
    """Of each value of a column at most so many items stay; a request that is short of time does without."""

    name = "variety"

    def __init__(self, parts: funnel.Parts, *, column: str, most: int = 3) -> None:
        self._catalogue, self._column, self._most = parts.catalogue, column, most

    def __call__(self, requests: funnel.Requests, candidates: funnel.Candidates) -> funnel.Candidates:
        """The same order without what comes too often."""
        return candidates.keep(np.array([self._kept(items) for items in candidates.items]))

    def skip(self, candidates: funnel.Candidates) -> funnel.Candidates:
        """All of them."""
        return candidates

    def _kept(self, items: Any) -> list[bool]:
        seen: Counter[str] = Counter()
        kept = []
        for item, record in zip(items, self._catalogue.records(np.maximum(items, 0)), strict=True):
            value = str(record[self._column])
            seen[value] += int(item >= 0)
            kept.append(bool(item >= 0 and seen[value] <= self._most))
        return kept
