"""A small world whose truth is known, and a funnel of stub stages over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.evaluation import Evaluation, Report, Subject, evaluate
from funnel.types import Candidates, Examples, Float32, Ragged, Requests

SUBJECT = Subject(dataset="world", checksum="c0ffee" * 10 + "abcd", windows="time .8/.9", protocol="window")


class Step(NamedTuple):
    name: str
    candidates: Candidates
    seconds: float


@dataclass(frozen=True)
class World:
    """Users and items with latent factors; targets are drawn from the true scores."""

    truth: Float32
    examples: Examples
    popularity: NDArray[np.int64]

    @classmethod
    def make(cls, users: int, items: int, seed: int, sharpness: float = 5.0) -> World:
        rng = np.random.default_rng(seed)
        bias = rng.normal(size=items) * 0.8
        truth = (rng.normal(size=(users, 8)) @ rng.normal(size=(8, items)) * 0.5 + bias).astype(np.float32)
        noisy = truth * sharpness + rng.gumbel(size=truth.shape) * 3
        order = np.argsort(-noisy, axis=1)
        seen, count = rng.integers(1, 20, users), rng.integers(1, 9, users)
        history = Ragged.from_lists([row[:n] for row, n in zip(order, seen, strict=True)])
        targets = Ragged.from_lists([r[n : n + m] for r, n, m in zip(order, seen, count, strict=True)])
        requests = Requests(
            users=np.arange(users, dtype=np.int32),
            times=np.zeros(users, dtype=np.int64),
            history=history,
            history_times=Ragged(np.zeros(len(history.values), dtype=np.int64), history.offsets),
            exclude=history,
        )
        popularity = np.bincount(history.values, minlength=items)
        return cls(truth, Examples(requests, targets), popularity)

    def scores(self, requests: Requests) -> Float32:
        """The true scores."""
        return self.truth[requests.users]

    def by(self, score: Callable[[Requests], Float32], k: int) -> Callable[[Requests], Candidates]:
        """A recommender by any score of every item, seen items excluded."""

        def recommend(requests: Requests) -> Candidates:
            scores = score(requests).astype(np.float32).copy()
            if requests.exclude is not None:
                scores[requests.exclude.list_of, requests.exclude.values] = -np.inf
            items = np.broadcast_to(np.arange(scores.shape[1], dtype=np.int32), scores.shape).copy()
            items[~np.isfinite(scores)] = -1
            sourced = (*scores.shape, 1)
            ranks, given = np.zeros(sourced, np.int32), np.zeros(sourced, np.float32)
            return Candidates(items, scores, ("stub",), given, ranks).ranked_by(scores).top(k)

        return recommend

    def noisy(self, noise: float, seed: int) -> Callable[[Requests], Float32]:
        """The truth through a fixed noise of this size."""
        blur = np.random.default_rng(seed).normal(size=self.truth.shape).astype(np.float32) * noise
        return lambda requests: self.truth[requests.users] + blur[requests.users]

    def popular(self, k: int) -> Callable[[Requests], Candidates]:
        """The same hit list for everyone."""
        return self.by(lambda r: np.tile(self.popularity.astype(np.float32), (len(r), 1)), k)


@dataclass(frozen=True)
class StubFunnel:
    """retrieve, filter, rank, rerank over the world; the ranker sees the truth less blurred."""

    world: World
    shortlist: int = 100
    shown: int = 10

    def trace(self, requests: Requests) -> list[Step]:
        steps, start = [], time.perf_counter()
        found = self.world.by(self.world.noisy(1.0, 1), self.shortlist)(requests)
        steps.append(Step("retrieve", found, time.perf_counter() - start))
        for name, stage in (("filter", self._filter), ("rank", self._rank), ("rerank", self._top)):
            start = time.perf_counter()
            found = stage(requests, found)
            steps.append(Step(name, found, time.perf_counter() - start))
        return steps

    def _filter(self, requests: Requests, found: Candidates) -> Candidates:
        return found.keep(found.items % 11 != 3)

    def _rank(self, requests: Requests, found: Candidates) -> Candidates:
        scores = self.world.noisy(0.4, 2)(requests)
        return found.ranked_by(np.take_along_axis(scores, np.maximum(found.items, 0), axis=1))

    def _top(self, requests: Requests, found: Candidates) -> Candidates:
        return found.top(self.shown)


def measured(world: World, examples: Examples | None = None, **options: object) -> Report:
    """The report of the stub funnel over a world."""
    return evaluation(world, examples, **options).report


def evaluation(world: World, examples: Examples | None = None, **options: object) -> Evaluation:
    """The same, with what its figures are means of."""
    shortlist = 100
    settings: dict[str, object] = {
        "funnel": StubFunnel(world, shortlist),
        "examples": world.examples if examples is None else examples,
        "subject": SUBJECT,
        "popularity": world.popularity,
        "baselines": {
            "popular": world.popular(shortlist),
            "co-visitation": world.by(world.noisy(2.5, 5), 40),
        },
        "exact": world.by(world.noisy(1.0, 1), shortlist),
        "approximate": world.by(world.noisy(1.05, 1), shortlist),
        "truth_scores": world.scores,
        "ks": (10, 50, 100),
        "seed": 7,
        "resamples": 200,
        "latency_requests": 5,
    }
    return evaluate(**(settings | options))  # type: ignore[arg-type]
