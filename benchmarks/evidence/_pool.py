"""Real answers of one kind of hour as numbers, so that a month is drawn from them: what the monitor counts of
each, by its own code, and how probable each click is in truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.impressions.record import Impression
from funnel.monitoring.counting import Counting, Remade
from funnel.monitoring.counts import Counts, Rate, Variable
from funnel.monitoring.measures import Measures

#: Positions whose clicks are drawn.
POSITIONS = 10

#: Parts of answers that have rates of their own, at most, as `[monitor]` has it.
PARTS = 20


@dataclass(frozen=True)
class Table:
    """Counts of single answers side by side. rates, bins: where each begins in a row, of which two, or so
    many, belong to it. rows: float32 [answers, cells]."""

    rates: dict[Rate, int]
    bins: dict[Variable, tuple[int, int]]
    rows: NDArray[np.float32]

    @classmethod
    def of(cls, each: Sequence[Counts]) -> Table:
        """Of what was counted of each."""
        rates: dict[Rate, int] = {}
        bins: dict[Variable, tuple[int, int]] = {}
        size = 0
        for counts in each:
            for rate in counts.rates.keys() - rates.keys():
                rates[rate], size = size, size + 2
            for metric in counts.bins.keys() - bins.keys():
                width = len(counts.bins[metric])
                bins[metric], size = (size, width), size + width
        rows = np.zeros((len(each), size), dtype=np.float32)
        for row, counts in zip(rows, each, strict=True):
            for rate, sums in counts.rates.items():
                row[rates[rate] : rates[rate] + 2] = sums
            for metric, sums in counts.bins.items():
                begin, width = bins[metric]
                row[begin : begin + width] = sums
        return cls(rates, bins, rows)

    def add_to(self, counts: Counts, sums: NDArray[np.float64]) -> None:
        """What a sum of rows comes to. What was not counted in any of them is not there."""
        for rate, begin in self.rates.items():
            if sums[begin + 1]:
                counts.rate(rate, *sums[begin : begin + 2].tolist())
        for metric, (begin, width) in self.bins.items():
            of, before = sums[begin : begin + width], counts.bins.get(metric, np.zeros(width))
            if len(before) != width:  # of two bundles in the minute of a swap: the one that gave more
                counts.bins[metric] = of.copy() if of.sum() > before.sum() else before
            elif of.any():
                counts.bins[metric] = before + of


@dataclass(frozen=True)
class Pool:
    """answers: what is counted of each. remade: what more of each that was made again, and where that is, -1
    for the others: int [answers]. users: who asked. sessions: the answers in order of user and device, and
    for each where those of its user and device begin there, and how many they are. chances: of a click at
    each position, 0 where nothing was shown: float32 [answers, 10]; shown: how many were. probable: clicks
    that the bundle says are probable; NaN where it says nothing. different: answers that did not come out
    again as they were given."""

    answers: Table
    remade: Table
    remade_at: NDArray[np.int64]
    users: NDArray[np.int64]
    order: NDArray[np.int64]
    begins: NDArray[np.int64]
    sizes: NDArray[np.int64]
    chances: NDArray[np.float32]
    shown: NDArray[np.int64]
    probable: NDArray[np.float64]
    different: int = 0


def pool_of(
    measures: Measures,
    row: Callable[[Any], int],
    impressions: Sequence[Impression],
    remade: Iterable[Remade],
    chances: Callable[[Impression], NDArray[np.float64]],
) -> Pool:
    """Count each answer alone. chances: of a click at each of its positions, in truth."""
    counting, some = Counting(measures, row, PARTS), list(remade)
    counting.mark(float("-inf"), 0)  # all that was acknowledged before is in every answer
    counting.answers(Counts(), impressions)  # names of all parts are known then
    at = {impression.id: number for number, impression in enumerate(impressions)}
    remade_at = np.full(len(impressions), -1)
    remade_at[[at[one.impression.id] for one in some]] = np.arange(len(some))
    order, begins, sizes = _sessions(impressions)
    return Pool(
        answers=Table.of([_counted(counting.answers, impression) for impression in impressions]),
        remade=Table.of([_counted(counting.remade, one) for one in some]),
        remade_at=remade_at,
        users=np.array([int(impression.user) for impression in impressions], dtype=np.int64),
        order=order, begins=begins, sizes=sizes,
        chances=np.array([_padded(chances(impression)) for impression in impressions], dtype=np.float32),
        shown=np.array([len(impression.shown) for impression in impressions]),
        probable=np.array([_probable(measures, impression) for impression in impressions]),
        different=sum(one.equal is False for one in some),
    )  # fmt: skip


def _counted(count: Callable[[Counts, Any], None], one: Any) -> Counts:
    counts = Counts()
    count(counts, [one])
    return counts


def _sessions(impressions: Sequence[Impression]) -> tuple[NDArray[np.int64], ...]:
    """Answers in order of user and device; where those of each answer's begin, and how many they are."""
    names = [f"{impression.user} {impression.context.get('device')}" for impression in impressions]
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    begins = np.cumsum(sizes) - sizes
    return np.argsort(group, kind="stable"), begins[group], sizes[group]


def _padded(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    some = np.asarray(chances)[:POSITIONS]
    return np.pad(some, (0, POSITIONS - len(some)))


def _probable(measures: Measures, impression: Impression) -> float:
    """As `Counting` has it."""
    if measures.head is None or impression.version != measures.version or not impression.shown:
        return float("nan")
    return float(measures.head(impression.scores[list(impression.shown)]).sum())
