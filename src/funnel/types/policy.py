"""By which policy the items of a list were drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one list that was drawn by chance; see `funnel.policies`.

    temperature: of the softmax over scores. epsilon: share of draws that are even over the best. top: how
    many are the best. seed: of this list's draws, with which it can be drawn again.
    """

    temperature: float
    epsilon: float
    top: int
    seed: int
