"""Where an item stands among all that a source could have found: exactly, by a look at every item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funnel.stages.placing import retrieval_score
from funnel.stages.sources import Source, excluded
from funnel.types import Requests

#: Items that are scored at a time.
_CHUNK = 65_536


@dataclass(frozen=True)
class Standing:
    """rank: of the item among all that the request may be given, from 1; None where the source has no score
    for it. score: the source's. returned: whether the source returned it."""

    source: str
    rank: int | None
    score: float | None
    returned: bool


def standing(source: Source, requests: Requests, row: int, n_items: int, *, returned: bool) -> Standing:
    """Of one item. requests: of one. Ties go by item row, as everywhere."""
    own = _scores(source, requests, np.array([row], dtype=np.int32))[0]
    if not own > -np.inf:
        return Standing(source.name, None, None, returned)
    ahead = 0
    for begin in range(0, n_items, _CHUNK):
        rows = np.arange(begin, min(begin + _CHUNK, n_items), dtype=np.int32)
        scores = _scores(source, requests, rows)
        before = (scores > own) | ((scores == own) & (rows < row))
        ahead += int((before & ~excluded(requests, rows[None])[0]).sum())
    return Standing(source.name, ahead + 1, float(own), returned)


def _scores(source: Source, requests: Requests, rows: np.ndarray) -> np.ndarray:
    return np.asarray(retrieval_score(source, requests, rows[None])[0])
