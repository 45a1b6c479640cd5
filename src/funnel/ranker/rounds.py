"""Models that grow tree by tree, side by side, until what is watched is not better any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import cycle
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from funnel.ranker.config import RankerConfig
from funnel.ranker.peers import ALONE, Peers

#: Called after each tree with its number from 1 and the mean of what is watched (NaN where nothing is).
Progress = Callable[[int, float], None]


class Growing(Protocol):
    """A model in training, tree by tree."""

    def add(self) -> float:
        """Grow a tree. Returns how good the model is after it on what it is not grown on, more being better;
        NaN where nothing is watched."""


G = TypeVar("G", bound=Growing)


class Rounds(Generic[G]):
    """models: they may have a tree more than there are means. history: the mean of what is watched, such as
    NDCG@10, after each tree; empty where nothing is."""

    def __init__(
        self, models: list[G], turns: Iterator[Turn], config: RankerConfig, progress: Progress | None
    ) -> None:
        self.models, self.history = models, list[float]()
        self._config, self._progress = config, progress
        self._means = enumerate(_trees(models, turns, config.trees), 1)

    def grow(self, most: int | None = None) -> None:
        """Go on until the mean has not risen for `stop_after` trees, at most to so many trees of each model;
        default the config's."""
        for number, value in self._means:
            if self._progress is not None:
                self._progress(number, value)
            if not np.isnan(value):
                self.history.append(value)
            if number == most or self._is_stale:
                return

    @property
    def _is_stale(self) -> bool:
        best = int(np.argmax(self.history)) if self.history else 0
        return len(self.history) - 1 - best >= self._config.stop_after


@contextmanager
def side_by_side(
    makers: Sequence[Callable[[], G]], config: RankerConfig, progress: Progress | None, peers: Peers = ALONE
) -> Iterator[Rounds[G]]:
    """Models, and the threads that they grow on. A model is read behind the block, when no thread is at work
    on it any more.

    The threads take turns, tree after tree, and are one tree ahead of the mean, so that three models keep two
    threads busy. How much LightGBM prints is set for the thread that makes a model, so each makes one first.
    With peers there is one thread: what they share is a thread's, and all take the models in one order.
    """
    workers = min(len(makers), config.threads or os.cpu_count() or 1)
    with ExitStack() as stack:
        turns: Iterator[Turn] = cycle([_ThisThread()])
        if peers.of == 1:
            turns = cycle([stack.enter_context(ThreadPoolExecutor(1)) for _ in range(workers)])
        # One by one, for the number of threads is LightGBM's own, and not a model's.
        models = [next(turns).submit(make).result() for make in makers]
        yield Rounds(models, turns, config, progress)


class Turn(Protocol):
    """Where a tree is grown."""

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Begin it, or do it."""


class _ThisThread:
    """Does at once what a thread would."""

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Its result, which is there."""
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done


def _trees(models: Sequence[Growing], turns: Iterator[Turn], most: int) -> Iterator[float]:
    """The models' mean after each tree, while the next one is already being grown."""
    before: list[Future[float]] = []
    for _ in range(most):
        after: list[Future[float]] = []
        for number, model in enumerate(models):
            after.append(next(turns).submit(_next_tree, model, before[number] if before else None))
        if before:
            yield _mean(before)
        before = after
    yield _mean(before)


def _next_tree(model: Growing, before: Future[float] | None) -> float:
    """Grow the model's next tree, once the one before is finished, which another thread may be growing."""
    if before is not None:
        before.result()
    return model.add()


def _mean(values: Sequence[Future[float]]) -> float:
    return float(np.mean([value.result() for value in values]))
