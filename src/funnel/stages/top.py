"""The stage that ends a funnel."""

from __future__ import annotations

from funnel.stages.stage import positive
from funnel.types import Candidates, Requests


class Top:
    """The first k positions; fewer where there are fewer. Raises: ConfigError when k is below 1."""

    def __init__(self, k: int, *, name: str = "top") -> None:
        self.name = name
        self._k = positive(k, f"k of {name}")

    def __call__(self, requests: Requests, candidates: Candidates) -> Candidates:
        """The first k positions, unchanged."""
        return candidates.top(self._k)
