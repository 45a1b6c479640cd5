"""The first stage where a request brings its own list, and the ranker learned from what retrieval found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from funnel.errors import FunnelError
from funnel.stages.filter import Filter
from funnel.stages.retrieve import Retrieve
from funnel.types import Candidates, Requests


class Given:
    """All items of a given list, each as a candidate that retrieval found.

    The ranker's features say how an item stands among what was retrieved: its rank in each source, and how
    far its score is below the source's best. So the request is retrieved for as always, and each given item
    is placed beside that (see `Retrieve.positions`). What the list holds beside an item changes nothing.

    shortlist: positions that the ranker would have been given.
    """

    def __init__(self, retrieve: Retrieve, shortlist: int) -> None:
        self.name = retrieve.name
        self._retrieve, self._filter = retrieve, Filter(shortlist)

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The items of `requests.shown` in the retrieval order; also those that the request excludes, or does
        not allow. What came in is not looked at. Raises: FunnelError for requests that bring no list."""
        if requests.shown is None:
            raise FunnelError("a given list is ranked, and these requests bring none: set Requests.shown")
        alone = replace(requests, shown=None)
        lists = requests.shown.items
        items = lists.last(int(lists.lengths.max(initial=0)))
        retrieved, placed = self._retrieve.positions(alone, items)
        shortlist = self._filter(alone, retrieved).source_scores
        bests = np.fmax.reduce(shortlist, axis=1, initial=-np.inf).astype(np.float32)
        return replace(placed, source_bests=bests)
