"""A metric: whether the very first item was right."""

from __future__ import annotations

from typing import Any

import numpy as np

import funnel


@funnel.register("metric", "first_right")
def first_right(places: funnel.Ragged, k: int) -> Any:
    """1 where a target is in the first place, else 0."""
    return np.bincount(places.list_of, weights=places.values == 0, minlength=len(places))
