"""How candidates relate to the recent history: interacted with together, and interacted with next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funnel.features.arrays import frozen
from funnel.features.evidence import EVIDENCE, evidence
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


@register("feature", "spectral")
def build_spectral(context: FittedContext) -> FeatureGroup:
    """The same of the filtered graph's lists, which only sets have; their sum is the source's score."""
    lists = context.statistics.spectral
    if lists is None:
        return FeatureGroup((), lambda batch: batch.candidates.source_scores[:, :, :0])
    return _group(lists, ("share", "best", "hits"))


def _group(neighbours: Neighbours, names: Sequence[str]) -> FeatureGroup:
    columns = frozen(np.array([EVIDENCE.index(name) for name in names], dtype=np.int64))
    edges, decay, reach = neighbours.edges, neighbours.decay, neighbours.reach

    def compute(batch: FeatureBatch) -> Float32:
        columns_of: Float32 = evidence(edges, batch.newest, batch.items, decay, reach, columns)
        return columns_of

    return FeatureGroup(tuple(names), compute)
