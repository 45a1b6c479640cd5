"""Feature groups of plugins, held to the form that the matrix has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from funnel import plugins
from funnel.features.groups import FeatureBatch, FeatureGroup, FittedContext
from funnel.types import Float32


def feature(name: str, context: FittedContext, options: plugins.Given) -> FeatureGroup:
    """A feature group by name.

    Raises: FunnelError where a plugin gives none, and, when it computes, for columns of another form than
    it named.
    """
    group = plugins.make("feature", name, context, options=options)
    if plugins.find("feature", name).own:
        return group
    if not isinstance(group, FeatureGroup) or len(set(group.names)) < len(group.names):
        raise plugins.refused(f"feature {name!r}", "a Feature is expected, whose names come once each")
    return replace(group, compute=lambda batch: _checked(name, group, batch))


def _checked(name: str, group: FeatureGroup, batch: FeatureBatch) -> Float32:
    """Its columns, NaN at empty positions."""
    filled = batch.candidates.filled
    shape = (*filled.shape, len(group.names))
    with plugins.calling("feature", name):
        values = group.compute(batch)
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float32:
        raise plugins.refused(f"feature {name!r}", f"`compute` must give float32 {list(shape)}")
    if np.isinf(values).any():
        raise plugins.refused(f"feature {name!r}", "a value is infinite; NaN is what is not known")
    return np.where(filled[:, :, None], values, np.float32(np.nan))
