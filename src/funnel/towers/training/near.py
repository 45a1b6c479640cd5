"""Near items of each item, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

#: Items that are compared with each other. A catalogue of no more is searched exactly.
CELL = 4096

#: Scores that are held at once: 64 MiB of float32. Rows whose vectors are copied at once.
CHUNK, PART = 1 << 24, 1 << 16


def near_items(vectors: Tensor, k: int, rng: np.random.Generator, cell: int | None = None) -> Tensor:
    """Each item's k nearest others by inner product, the best first: int32 [n, k]. vectors: [n, d], n > k.

    The items are halved again and again by a hyperplane between two random ones, with as many on either side
    (the trees of Annoy, with a median in place of the middle), until no part has more than `cell`, default
    `CELL`; each part is searched exactly. That is at most n · cell products, and n · log(n / cell) for the
    halves. What is on the other side of a plane is missed, which for hard negatives does not matter: they
    have to be near, and how often each is drawn is counted from what was found.
    """
    out = torch.empty(len(vectors), k, dtype=torch.int32, device=vectors.device)
    for rows in _cells(vectors, max(cell or CELL, 2 * k + 2), rng):
        some = vectors[rows]
        size = max(1, CHUNK // len(rows))
        for at in range(0, len(rows), size):
            scores = some[at : at + size] @ some.T
            here = torch.arange(len(scores), device=scores.device)
            scores[here, here + at] = -torch.inf
            out[rows[at : at + size]] = rows[scores.topk(k, dim=1).indices].int()
    return out


def _cells(vectors: Tensor, most: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """All rows in parts of at most so many, int64 each."""
    waiting = [torch.arange(len(vectors), device=vectors.device)]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= most:
            yield rows
            continue
        first, second = vectors[rows[rng.choice(len(rows), 2, replace=False).tolist()]]
        order = _along(vectors, rows, first - second).argsort(stable=True)
        waiting += [rows[half] for half in order.tensor_split(2)]


def _along(vectors: Tensor, rows: Tensor, direction: Tensor) -> Tensor:
    """Where rows lie along a direction, without a copy of them all: [len(rows)]."""
    return torch.cat([vectors[part] @ direction for part in torch.split(rows, PART)])
