"""How the candidates hang together with the recent history: met together, and met next."""

from __future__ import annotations

from collections.abc import Sequence

from funnel.features.evidence import EVIDENCE
from funnel.features.families.family import Asked, Family, Known
from funnel.features.neighbours import Neighbours
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "covisitation")
def build(known: Known) -> Family:
    """`Neighbours.evidence` of the covisitation lists; what needs an order only where there is one."""
    names = EVIDENCE if known.statistics.clock != "none" else ("sum", "share", "best", "hits")
    return _family(known.statistics.covisitation, names)


@register("feature", "transition")
def build_transition(known: Known) -> Family:
    """The same of the directed lists: the decayed sum and the best of the last five items, last, second."""
    transitions = known.statistics.transitions
    if transitions is None:
        return Family((), lambda asked: asked.candidates.source_scores[:, :, :0])
    return _family(transitions, ("sum", "best", "last", "second"))


def _family(neighbours: Neighbours, names: Sequence[str]) -> Family:
    columns = [EVIDENCE.index(name) for name in names]

    def compute(asked: Asked) -> Float32:
        evidence = neighbours.evidence(asked.newest_first, asked.candidates.items)
        return evidence if len(columns) == len(EVIDENCE) else evidence[:, :, columns]

    return Family(tuple(names), compute)
