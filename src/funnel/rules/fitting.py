"""The first candidates that keep to all limits.

Where they are as many as are wanted, and nothing but limits is asked of a list, they are the list that a
search would find.
"""

from __future__ import annotations

import numpy as np

from funnel.compiling import compiled
from funnel.types import Int32, Int64


@compiled
def first_fitting(
    codes: Int32, owners: Int32, limits: Int32, used: tuple[Int32, Int32, Int32], k: int
) -> Int64:
    """At most k candidates, each the first that fits to those before it: int64 [m].

    codes: int32 [n, W], −1 = none, of the limits `owners` [W]; of a code at most `limits` [owner] may be in a
    list. used: owners, codes and how often they may still be, where that is less.
    """
    known, out, m = len(used[0]), np.empty(k, dtype=np.int64), 0
    pairs = np.empty((3, known + codes.shape[1] * k), dtype=np.int32)
    owner, code, left = pairs[0], pairs[1], pairs[2]
    for at in range(known):
        owner[at], code[at], left[at] = used[0][at], used[1][at], used[2][at]
    for i in range(codes.shape[0]):
        if m == k:
            break
        fits = True
        for w in range(codes.shape[1]):
            if codes[i, w] >= 0:
                at = _where(owner, code, known, owners[w], codes[i, w])
                fits &= (left[at] if at < known else limits[owners[w]]) > 0
        if not fits:
            continue
        out[m] = i
        m += 1
        for w in range(codes.shape[1]):
            if codes[i, w] < 0:
                continue
            at = _where(owner, code, known, owners[w], codes[i, w])
            if at == known:
                owner[at], code[at], left[at] = owners[w], codes[i, w], limits[owners[w]]
                known += 1
            left[at] -= 1
    return out[:m]


@compiled(inner=True)
def _where(owner: Int32, code: Int32, known: int, of_owner: int, of_code: int) -> int:
    """Where a pair stands, or the first free place. A list has few pairs."""
    for at in range(known):
        if owner[at] == of_owner and code[at] == of_code:
            return at
    return known
