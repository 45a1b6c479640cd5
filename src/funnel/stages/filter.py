"""The stage that lets nothing through that must not be returned."""

from __future__ import annotations

from funnel.compiling import plain
from funnel.features.kernels import bitmaps, item_lists
from funnel.stages._kernels import any_excluded
from funnel.stages.sources import excluded
from funnel.stages.stage import positive
from funnel.types import Candidates, Requests


class Filter:
    """Drops excluded and not-allowed items, and cuts to the shortlist.

    Sources obey the same lists themselves; this stage holds for every source, also for one that does not.

    shortlist: positions that go on. Raises: ConfigError when it is below 1.
    """

    def __init__(self, shortlist: int, *, name: str = "filter") -> None:
        self.name = name
        self._shortlist = positive(shortlist, f"shortlist of {name}")

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The first `shortlist` positions that pass, the order kept."""
        lists = item_lists(requests.exclude, len(requests.users))
        if any_excluded(*plain(candidates.items), lists, bitmaps(requests.allow)):
            candidates = candidates.keep(~excluded(requests, candidates.items))
        return candidates.top(self._shortlist)
