"""The one order of the house: descending score, ties by item row, empty places last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.types import Float32, Int32

_NOTHING = np.uint64(np.iinfo(np.uint64).max)


def best(items: Int32, scores: Float32, k: int) -> tuple[Int32, Float32]:
    """The k best places of each row, in order: (int32 [B, k], float32 [B, k]), padded with −1 and −inf.

    items: int32 [B, W], negative = empty. scores: float32 [B, W]; NaN counts as −inf.
    Score and row are packed in one integer, so that one plain sort gives a total order.
    """
    keys = np.sort(_keys(items, scores), axis=1)[:, :k]
    out = np.full((len(items), k), -1, dtype=np.int32)
    out_scores = np.full((len(items), k), -np.inf, dtype=np.float32)
    filled = keys != _NOTHING
    rows = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    out[:, : keys.shape[1]] = np.where(filled, rows, -1)
    bits = ~(keys >> np.uint64(32)).astype(np.uint32)
    values = np.where(bits >> 31 == 1, bits ^ np.uint32(1 << 31), ~bits).view(np.float32)
    out_scores[:, : keys.shape[1]] = np.where(filled, values, -np.inf)
    return out, out_scores


def _keys(items: Int32, scores: Float32) -> NDArray[np.uint64]:
    """uint64 [B, W] that sort ascending into the order of the house."""
    bits = (np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf) + np.float32(0)).view(np.uint32)
    # IEEE floats sort as integers once the sign is folded in; + 0 above made −0 and 0 the same.
    ascending = np.where(bits >> 31 == 1, ~bits, bits ^ np.uint32(1 << 31))
    keys = (~ascending).astype(np.uint64) << np.uint64(32) | items.astype(np.uint64) & np.uint64(0xFFFFFFFF)
    return np.where(items < 0, _NOTHING, keys)
