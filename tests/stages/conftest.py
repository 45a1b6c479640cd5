"""A small world for the stages: vectors, an index, statistics and requests, each as plain as can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from funnel.types import Ragged, Requests

N, D = 200, 16


@dataclass
class HistoryEncoder:
    """The query is the mean of the history's vectors, computed request by request."""

    item_vectors: np.ndarray

    def encode(self, requests: Requests) -> np.ndarray:
        out = np.full((len(requests), self.item_vectors.shape[1]), 0.1, dtype=np.float32)
        for b in range(len(requests)):
            if len(requests.history[b]):
                out[b] = self.item_vectors[requests.history[b]].mean(axis=0)
        return out


@dataclass
class BruteIndex:
    """Scores every item. `blind` rows are overlooked unless a filter is given, as if approximate."""

    vectors: np.ndarray
    blind: tuple[int, ...] = ()
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.vectors)

    def search(
        self, queries: np.ndarray, k: int, *, allow: Any = None, params: Any = None, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((len(queries), k))
        scores = queries.astype(np.float64) @ self.vectors.astype(np.float64).T
        if allow is None:
            scores[:, list(self.blind)] = -np.inf
        else:
            scores[:, ~allow] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        rows = np.full((len(queries), k), -1, dtype=np.int32)
        rows[:, : order.shape[1]] = np.where(np.isfinite(best), order, -1)
        return rows, best.astype(np.float32)


@dataclass
class Together:
    """Covisitation as a dense matrix."""

    weights: np.ndarray

    def top(
        self, history: Ragged, k: int, *, exclude: Ragged | None = None, allow: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(history), k), -1, dtype=np.int32)
        scores = np.full((len(history), k), -np.inf, dtype=np.float32)
        for b in range(len(history)):
            own = self.weights[history[b]].sum(axis=0)
            if exclude is not None:
                own[exclude[b]] = 0
            if allow is not None:
                own[~(allow if allow.ndim == 1 else allow[b])] = 0
            order = np.argsort(-own, kind="stable")[:k]
            order = order[own[order] > 0]
            rows[b, : len(order)], scores[b, : len(order)] = order, own[order]
        return rows, scores


@dataclass
class Counts:
    """Statistics of a log in which item i has its events at `times[i]`."""

    times: list[np.ndarray]
    covisitation: Together
    windows: tuple[int | None, ...] = (1024, None)

    def counts(self, items: np.ndarray, times: np.ndarray, window: int | None) -> np.ndarray:
        def count(item: int, time: int) -> int:
            own = self.times[item]
            return int(((own < time) & (own >= (time - window if window else -1))).sum())

        return np.array([count(i, t) for i, t in zip(items, times, strict=True)], dtype=np.int32)

    def popular(self, time: int, k: int, window: int | None) -> np.ndarray:
        counts = self.counts(np.arange(len(self.times)), np.full(len(self.times), time), window)
        return np.argsort(-counts, kind="stable")[:k].astype(np.int32)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


@pytest.fixture
def encoder(vectors: np.ndarray) -> HistoryEncoder:
    return HistoryEncoder(vectors)


@pytest.fixture
def index(vectors: np.ndarray) -> BruteIndex:
    return BruteIndex(vectors)


@pytest.fixture(scope="session")
def statistics() -> Counts:
    rng = np.random.default_rng(1)
    weights = rng.random((N, N)).astype(np.float32) * (rng.random((N, N)) < 0.2)
    events = [rng.integers(0, 10_000, rng.integers(0, 12)) for _ in range(N)]
    return Counts(events, Together(weights))


@pytest.fixture(scope="session")
def requests() -> Requests:
    """40 requests: some new, some with long histories, all of which is excluded."""
    rng = np.random.default_rng(2)
    lengths = np.array([0, 1, 3, 20, 120, 199, 200, 5] * 5)
    lists = [rng.permutation(N)[:n] for n in lengths]
    history = Ragged.from_lists(lists)
    return Requests(
        users=np.arange(40, dtype=np.int32),
        times=rng.integers(5_000, 10_000, 40),
        history=history,
        history_times=Ragged(np.zeros(len(history.values), dtype=np.int64), history.offsets),
        exclude=history,
    )
