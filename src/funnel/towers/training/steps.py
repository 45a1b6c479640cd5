"""Sequences cut into training steps, and steps into parts that are worked on side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from funnel.towers.training.batches import Packed, Sequences, Sets, packed, sets_of, targets_of
from funnel.types import Int64

Part = Packed | Sets


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one training step asks for, of which some parts are worked on here.

    parts: these. targets: int64 [P], those of all parts, one part after the other. of_part: for each of
    `parts`, where its targets are among them; queries: and where its queries are among all. query_of: int64
    [P], ascending, whose target each is; None where each has a query of its own.
    """

    parts: tuple[Part, ...]
    targets: Int64
    of_part: tuple[slice, ...]
    queries: tuple[slice, ...]
    query_of: Int64 | None = None

    @property
    def shares(self) -> list[float]:
        """The share of the step's targets that each of `parts` has."""
        return [len(part.targets) / len(self.targets) for part in self.parts]


def steps(
    sequences: Sequences,
    batch: int,
    rng: np.random.Generator,
    parts: int = 1,
    mine: slice = slice(None),
) -> Iterator[TrainingStep]:
    """Every sequence once, in random order, about `batch` trained positions a step.

    A step comes in at most so many parts of about as many trained positions each. mine: the parts that are
    made; of the others only the targets are.
    """
    order = rng.permutation(len(sequences))
    trained = sequences.n_targets
    n = max(1, round(sequences.positions / batch))
    for chosen in _cut(order, trained, n):
        cut = _cut(chosen, trained, parts)
        seeds = rng.integers(1 << 62, size=len(cut))  # of each part, whoever makes it
        yield _step(sequences, cut, [np.random.default_rng(seed) for seed in seeds], mine)


def _step(
    sequences: Sequences, cut: list[Int64], rngs: list[np.random.Generator], mine: slice
) -> TrainingStep:
    targets, here = [targets_of(sequences, chosen) for chosen in cut], range(len(cut))[mine]
    of_part = _slices([len(part) for part in targets])
    if not sequences.sets:
        parts = tuple(packed(sequences, cut[i], rngs[i]) for i in here)
        return TrainingStep(parts, np.concatenate(targets), of_part[mine], of_part[mine])
    own = sequences.n_targets[np.concatenate(cut)]
    return TrainingStep(
        parts=tuple(sets_of(sequences, cut[i]) for i in here),
        targets=np.concatenate(targets),
        of_part=of_part[mine],
        queries=_slices([len(chosen) for chosen in cut])[mine],
        query_of=np.repeat(np.arange(len(own)), own),
    )


def _slices(sizes: list[int]) -> tuple[slice, ...]:
    ends = np.cumsum(sizes).tolist()
    return tuple(map(slice, [0, *ends[:-1]], ends))


def _cut(order: Int64, trained: Int64, n: int) -> list[Int64]:
    """At most n parts of an order with about as many trained positions each; none is empty."""
    total = np.cumsum(trained[order])
    if not len(order):
        return []
    cuts = np.searchsorted(total, np.arange(1, n) * total[-1] / n)
    return [part for part in np.split(order, cuts) if len(part)]
