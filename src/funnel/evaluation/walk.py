"""Runs every competitor on the requests: in batches for the figures, and one by one for latencies.

A competitor is a funnel, whose stages each become a row, or one callable, which becomes one row. Of a batch
only the targets' positions and the exposure are kept, so memory stays bounded by the batch, and the items of
those lists that were requested.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from rich.console import Console
from rich.progress import track

from funnel.evaluation.catalogue import exposure
from funnel.evaluation.chunks import CHUNK, each_chunk
from funnel.evaluation.ideal import TruthScores, at_once, best_by_truth
from funnel.evaluation.metrics import Float64, find_positions
from funnel.recipes import Recipe
from funnel.types import Candidates, Examples, Float32, Int32, Int64, Ragged, Requests

Kind = Literal["baseline", "ideal", "exact", "stage"]
Recommend = Callable[[Requests], Candidates]

#: Gets each batch, the numbers of its requests [B], and what a stage left of it.
Observer = Callable[[Examples, Int64, Candidates], None]

_WARM = 3  # the first so many are not timed: compilation and cold caches are not what is measured


class TracedStep(Protocol):
    """What one stage did with a batch."""

    @property
    def name(self) -> str: ...
    @property
    def candidates(self) -> Candidates: ...
    @property
    def seconds(self) -> float: ...


class Traced(Protocol):
    """A funnel that shows its steps, in walking order."""

    def trace(self, requests: Requests) -> Sequence[TracedStep]: ...


class Timed(NamedTuple):
    """A step as it is counted: also the only one of a competitor that is one callable."""

    name: str
    candidates: Candidates
    seconds: float


class Competitor(NamedTuple):
    """kind: of the rows that its steps become. answer: runs it on requests."""

    kind: Kind
    answer: Callable[[Requests], Sequence[TracedStep]]


def one_step(kind: Kind, name: str, recommend: Recommend) -> Competitor:
    """A callable as a competitor of one step."""

    def answer(requests: Requests) -> Sequence[TracedStep]:
        start = time.perf_counter()
        candidates = recommend(requests)
        return [Timed(name, candidates, time.perf_counter() - start)]

    return Competitor(kind, answer)


@dataclass
class RowTally:
    """What is counted for one row of the report over all requests."""

    kind: Kind
    name: str
    n_items: int
    k: int
    positions: list[Int32] = field(default_factory=list)  #: of the targets, a batch each
    filled: list[Int64] = field(default_factory=list)  #: candidates a request, a batch each
    exposure: Int64 = field(init=False)  #: [n_items], within the first k
    keep: bool = False  #: whether its lists are kept
    lists: list[Int32] = field(default_factory=list)  #: item rows [B, K], a batch each
    true_dcg: list[Float64] = field(default_factory=list)  #: of the first k by `gains`, a batch each
    value_shares: list[Float64] = field(default_factory=list)  #: of the most that k items may be worth
    width: int = 0  #: most candidates of a request
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.exposure = np.zeros(self.n_items, dtype=np.int64)

    def all_positions(self, offsets: Int64) -> Ragged:
        """The targets' positions in all requests. offsets: those of the targets."""
        return Ragged(np.concatenate(self.positions), offsets)

    @property
    def candidates(self) -> Int64:
        """Candidates of each request: int64 [B]."""
        return np.concatenate(self.filled)

    def all_lists(self) -> Int32:
        """The kept lists, as wide as the longest: int32 [B, width], −1 behind the last item."""
        out = np.full((len(self.candidates), self.width), -1, dtype=np.int32)
        start = 0
        for items in self.lists:
            out[start : start + len(items), : items.shape[1]] = items[:, : self.width]
            start += len(items)
        return out

    def share_of(self, ideal: RowTally) -> float:
        """NDCG@k by the true chance of a click: the mean over requests of DCG over the ideal's DCG."""
        best = np.concatenate(ideal.true_dcg)
        return float(np.mean(np.concatenate(self.true_dcg)[best > 0] / best[best > 0]))

    @property
    def share_of_value(self) -> float | None:
        """The mean share of the most that a request's k items may be worth; None where it is not known."""
        return float(np.mean(np.concatenate(self.value_shares))) if self.value_shares else None

    def add(
        self,
        step: TracedStep,
        targets: Ragged,
        true_dcg: Float64 | None = None,
        value_shares: Float64 | None = None,
    ) -> None:
        """Count one batch. true_dcg: [B], by the true chance of a click, where it is known. value_shares: of
        the requests whose items are truly worth something."""
        items = step.candidates.items
        self.positions.append(find_positions(items, targets).values)
        self.filled.append((items >= 0).sum(axis=1))
        self.exposure += exposure(items, self.k, self.n_items)
        self.width = max(self.width, int(self.filled[-1].max(initial=0)))
        self.seconds += step.seconds
        if self.keep:
            self.lists.append(items.copy())  # and not a view of something wider
        if true_dcg is not None:
            self.true_dcg.append(true_dcg)
        if value_shares is not None:
            self.value_shares.append(value_shares)


def discounted(gains: Float32, items: Int32) -> Float64:
    """The gains [B, n_items] of lists [B, k] by position, each over log2(1 + position): DCG, float64 [B]."""
    worth = np.take_along_axis(gains, np.maximum(items, 0), axis=1) * (items >= 0)
    return np.asarray(worth @ (1 / np.log2(np.arange(2, items.shape[1] + 2))), dtype=np.float64)


def _true_dcg(truth: TruthScores, requests: Requests, lists: Sequence[Int32], n_items: int) -> list[Float64]:
    """DCG of each of the lists [B, k] by what is true of all items: float64 [B] each."""
    out = [np.empty(len(requests)) for _ in lists]
    for rows in at_once(len(requests), n_items):
        gains = truth(requests.take(rows))
        for dcg, items in zip(out, lists, strict=True):
            dcg[rows] = discounted(gains, items[rows])
    return out


def _value_shares(
    values: TruthScores, requests: Requests, lists: Sequence[Int32], n_items: int, k: int
) -> list[Float64]:
    """Of each of the lists the share of the most that a list of k has, where that is more than nothing."""
    shares: list[list[Float64]] = [[] for _ in lists]
    for rows in at_once(len(requests), n_items):
        part = requests.take(rows)
        worth, most = _with_most(values(part), part, k)
        for of_list, items in zip(shares, lists, strict=True):
            of_list.append(discounted(worth, items[rows])[most > 0] / most[most > 0])
    return [np.concatenate(of_list) for of_list in shares]


def _with_most(values: Float32, requests: Requests, k: int) -> tuple[Float32, Float64]:
    """What items are worth, and the most that a list of k of those that may be returned has of it."""
    best = best_by_truth(lambda _: values, values.shape[1], k)(requests)
    return values, discounted(values, best.items)


def walk(
    competitors: Sequence[Competitor] | Recipe,
    examples: Examples,
    n_items: int,
    k: int,
    *,
    gains: TruthScores | None = None,
    values: TruthScores | None = None,
    lists: Collection[str] = (),
    observers: Mapping[str, Observer] | None = None,
    progress: bool = False,
    timed: bool = True,
) -> list[RowTally]:
    """Run every competitor on every request; one `RowTally` a step, in the order of the competitors.

    competitors: or a recipe of them, so that other processes can answer as well.
    n_items: size of the catalogue. k: depth of exposure and of `true_dcg`. gains: requests -> [B, n_items],
    the true chance of a click of each item, where it is known; values: what it is truly worth.
    lists: names of the steps whose lists are kept. observers: by the name of the step that they watch.
    timed: whether seconds mean something: batches are answered one by one then, and on a thread a core
    otherwise.
    """
    rows: dict[tuple[int, int], RowTally] = {}

    listed: Sequence[Competitor] = competitors.work if isinstance(competitors, Recipe) else competitors
    work = Recipe(_answering, competitors) if isinstance(competitors, Recipe) else _answering(listed)
    batches = each_chunk(work, examples, threads=1 if timed else None)
    start = 0
    for batch, answers in _shown(batches, len(examples), progress):
        numbers = np.arange(start, start + len(batch))
        start += len(batch)
        tops = [step.candidates.items[:, :k] for steps in answers for step in steps]
        none = [None] * len(tops)
        dcg = iter(none if gains is None else _true_dcg(gains, batch.requests, tops, n_items))
        worth = iter(none if values is None else _value_shares(values, batch.requests, tops, n_items, k))
        for c, (competitor, steps) in enumerate(zip(listed, answers, strict=True)):
            for s, step in enumerate(steps):
                row = rows.setdefault((c, s), _tally(competitor, step, n_items, k, lists))
                row.add(step, batch.targets, next(dcg), next(worth))
                if observers and step.name in observers:
                    observers[step.name](batch, numbers, step.candidates)
    return [rows[key] for key in sorted(rows)]


def _answering(
    competitors: Sequence[Competitor] | Recipe,
) -> Callable[[Examples], tuple[Examples, list[list[Timed]]]]:
    """What gives a batch, and each competitor's steps on it."""
    each: Sequence[Competitor] = competitors.work if isinstance(competitors, Recipe) else competitors

    def answered(batch: Examples) -> tuple[Examples, list[list[Timed]]]:
        return batch, [
            [Timed(step.name, step.candidates, step.seconds) for step in competitor.answer(batch.requests)]
            for competitor in each
        ]

    return answered


def _shown(batches: Iterator[Any], n: int, progress: bool) -> Iterator[Any]:
    """The batches of n requests, with a bar where somebody looks."""
    console = Console(stderr=True)
    hidden = not (progress and console.is_terminal)
    yield from track(batches, "Evaluating", -(-n // CHUNK), console=console, disable=hidden)


def _tally(
    competitor: Competitor, step: TracedStep, n_items: int, k: int, lists: Collection[str]
) -> RowTally:
    return RowTally(competitor.kind, step.name, n_items, k, keep=step.name in lists)


def time_each(competitor: Competitor, requests: Requests) -> Float64:
    """Seconds of each step for each request on its own: float64 [B, steps]."""
    singles = [requests.take(np.array([i])) for i in range(len(requests))]
    for single in singles[:_WARM]:
        competitor.answer(single)
    return np.array([[step.seconds for step in competitor.answer(single)] for single in singles])
