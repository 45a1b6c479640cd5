"""The best of what was found, in the order of the house."""

from __future__ import annotations

import numpy as np

from funnel.order import keys, unpacked
from funnel.types import Float32, Int32


def best(items: Int32, scores: Float32, k: int) -> tuple[Int32, Float32]:
    """The k best places of each row, in order: (int32 [B, k], float32 [B, k]), padded with −1 and −inf.

    items: int32 [B, W], negative = empty. scores: float32 [B, W]; NaN counts as −inf.
    """
    return unpacked(np.sort(keys(items, scores), axis=1), k)
