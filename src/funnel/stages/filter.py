"""The stage that lets nothing through that must not be returned."""

from __future__ import annotations

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
        bad = excluded(requests, candidates.items)
        kept = candidates.keep(~bad) if bad.any() else candidates
        return kept.top(self._shortlist)
