"""How unequally the events are shared out among users, or among items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.settings import Settings

_CURVE = 100  # steps of the curve of shares


class Tail(Settings):
    """How unequal the events are shared out, over the whole catalogue, those without events included.

    gini: 0 all equal, towards 1 all with one. top: share of the events that the 1% with most have (at least
    one). curve: share of the events that the first 0%, 1%, … 100% have, the most frequent first. sizes:
    how many have 0, 1, 2, 3–4, 5–8, … events, by the upper bound.
    """

    n: int
    without: int
    median: float
    mean: float
    most: int
    gini: float
    top: float
    curve: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]


def tail(counts: NDArray[np.int64]) -> Tail:
    """counts: int64 [n], the events of each; at least one of them has some."""
    ordered = np.sort(counts)[::-1]
    n, total = len(counts), int(counts.sum())
    shares = np.append(0.0, np.cumsum(ordered) / total)
    # The Gini coefficient from the mean of the curve: the area above equality, doubled.
    gini = 2 * float((shares[1:] + shares[:-1]).sum() / 2 / n) - 1
    bounds = np.append(0, 2 ** np.arange(int(ordered[0] - 1).bit_length() + 1))
    sizes = np.bincount(np.searchsorted(bounds, counts), minlength=len(bounds))
    return Tail(
        n=n,
        without=int((counts == 0).sum()),
        median=float(np.median(counts)),
        mean=total / n,
        most=int(ordered[0]),
        gini=gini,
        top=float(shares[max(1, round(n / 100))]),
        curve=tuple(np.interp(np.linspace(0, n, _CURVE + 1), np.arange(n + 1), shares).tolist()),
        sizes=tuple(zip(bounds.tolist(), sizes.tolist(), strict=True)),
    )
