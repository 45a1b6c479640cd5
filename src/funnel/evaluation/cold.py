"""How well lists do on cold items: targets that had no event in what the bundle was trained on."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from funnel.evaluation.some import OfSome, ServedLists


class Cold(OfSome):
    """Figures of the cold targets alone. items: of the catalogue, those without an event in training."""

    items: int

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
