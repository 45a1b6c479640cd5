"""How candidates relate to the recent history: interacted with together, and interacted with next."""

from __future__ import annotations

from collections.abc import Sequence

from funnel.features.evidence import EVIDENCE
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.features.neighbours import Neighbours
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "covisitation")
def build(context: FittedContext) -> FeatureGroup:
    """`Neighbours.evidence` of the covisitation lists; columns that need an order only where there is one."""
    names = EVIDENCE if context.statistics.clock != "none" else ("sum", "share", "best", "hits")
    return _group(context.statistics.covisitation, names)


@register("feature", "transition")
def build_transition(context: FittedContext) -> FeatureGroup:
    """The same of the transition lists: decayed sum and best of the last five items, last, second."""
    transitions = context.statistics.transitions
    if transitions is None:
        return FeatureGroup((), lambda batch: batch.candidates.source_scores[:, :, :0])
    return _group(transitions, ("sum", "best", "last", "second"))


def _group(neighbours: Neighbours, names: Sequence[str]) -> FeatureGroup:
    columns = [EVIDENCE.index(name) for name in names]

    def compute(batch: FeatureBatch) -> Float32:
        evidence = neighbours.evidence(batch.newest_first, batch.candidates.items)
        return evidence if len(columns) == len(EVIDENCE) else evidence[:, :, columns]

    return FeatureGroup(tuple(names), compute)
