"""A metric: whether the very first item was right."""

from __future__ import annotations

from typing import Any

import numpy as np

import funnel


@funnel.register("metric", "first_right")
def first_right(positions: funnel.Ragged, k: int) -> Any:
    """1 where a target is at the first position, else 0."""
    return np.bincount(positions.list_of, weights=positions.values == 0, minlength=len(positions))
