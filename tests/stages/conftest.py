"""A small world for the stages: vectors, an index, statistics and requests, each as plain as can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from funnel.features import Statistics
from funnel.index import ExactIndex
from funnel.types import Log, Ragged, Requests

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
class RoughIndex:
    """An index that overlooks `blind` rows unless a filter is given, and remembers what it was asked."""

    vectors: np.ndarray
    blind: tuple[int, ...] = ()
    asked: list[tuple[int, int]] = field(default_factory=list)

    spec = "rough"

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
            scores[~allow.masks()] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        rows = np.full((len(queries), k), -1, dtype=np.int32)
        rows[:, : order.shape[1]] = np.where(np.isfinite(best), order, -1)
        return rows, best.astype(np.float32)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)


@pytest.fixture
def encoder(vectors: np.ndarray) -> HistoryEncoder:
    return HistoryEncoder(vectors)


@pytest.fixture
def index(vectors: np.ndarray) -> ExactIndex:
    return ExactIndex(vectors)


@pytest.fixture
def rough(vectors: np.ndarray) -> RoughIndex:
    return RoughIndex(vectors)


@pytest.fixture(scope="session")
def log() -> Log:
    """1,500 events in the first three hours; few items have most of them, some have none."""
    rng = np.random.default_rng(1)
    items = np.minimum(rng.exponential(30, 1_500), N - 1).astype(np.int32)
    return Log(
        rng.integers(0, 100, 1_500).astype(np.int32), items, np.sort(rng.integers(0, 10_000, 1_500)), 100, N
    )


@pytest.fixture(scope="session")
def statistics(log: Log) -> Statistics:
    return Statistics.fit(log, log)


@pytest.fixture(scope="session")
def requests() -> Requests:
    """40 requests days after the log: some new, some with long histories, all of which is excluded."""
    rng = np.random.default_rng(2)
    lengths = np.array([0, 1, 3, 20, 120, 199, 200, 5] * 5)
    lists = [rng.permutation(N)[:n] for n in lengths]
    history = Ragged.from_lists(lists)
    return Requests(
        users=np.arange(40, dtype=np.int32),
        times=rng.integers(1_000_000, 2_000_000, 40),
        history=history,
        history_times=Ragged(np.zeros(len(history.values), dtype=np.int64), history.offsets),
        exclude=history,
    )
