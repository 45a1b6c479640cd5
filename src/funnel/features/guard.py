"""Families of plugins, held to the form that the matrix has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from funnel import plugins
from funnel.features.families import Asked, Family, Known
from funnel.types import Float32


def feature(name: str, known: Known, options: plugins.Given) -> Family:
    """A family by name. Raises: FunnelError where a plugin gives none, and when it is called, for columns of
    another form than it named."""
    made = plugins.make("feature", name, known, options=options)
    if plugins.find("feature", name).own:
        return made
    if not isinstance(made, Family) or len(set(made.names)) < len(made.names):
        raise plugins.refused(f"feature {name!r}", "a Feature is expected, whose names come once each")
    return replace(made, compute=lambda asked: _checked(name, made, asked))


def _checked(name: str, made: Family, asked: Asked) -> Float32:
    """What it computes, NaN at empty places."""
    filled = asked.candidates.filled
    shape, values = (*filled.shape, len(made.names)), made.compute(asked)
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float32:
        raise plugins.refused(f"feature {name!r}", f"`compute` must give float32 {list(shape)}")
    if np.isinf(values).any():
        raise plugins.refused(f"feature {name!r}", "a value is infinite; NaN is what is not known")
    return np.where(filled[:, :, None], values, np.float32(np.nan))
