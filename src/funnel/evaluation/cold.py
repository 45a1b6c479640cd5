"""How well lists do on cold items: targets that had no event in what the bundle was trained on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from funnel.evaluation.rows import Value
from funnel.evaluation.some import ServedLists
from funnel.settings import Settings


class Cold(Settings):
    """Figures of the cold targets alone, in the lists as they are served.

    items: of the catalogue, those without an event in training. targets, requests: the targets among them,
    and the requests that have one; means are over those requests. rows: by row of the report, `ndcg@k`,
    `recall@k` and `recall` of the whole list; empty where there is no such target. chance: of lists in a
    random order.
    """

    items: int
    targets: int
    requests: int
    rows: dict[str, dict[str, Value]] = Field(default_factory=dict)
    chance: dict[str, float] = Field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """How many there are, in words."""
        if not self.targets:
            return f"no target is among the {self.items:,} items without an event in training"
        return (
            f"{self.targets:,} targets of {self.requests:,} requests are among the {self.items:,} items "
            "without an event in training"
        )


def cold_figures(lists: ServedLists, popularity: NDArray[Any]) -> Cold:
    """What each row's lists do for targets without an event. popularity: [n_items], events of each item in
    training."""
    cold = popularity == 0
    return Cold(items=int(cold.sum()), **lists.of(cold[lists.examples.targets.values]))
