"""Lists of each stage in the made-up world of ads, beside the best that there are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel import Live
from funnel.bundle.contents import Contents
from funnel.evaluation import Difference, paired
from funnel.evaluation.ideal import best_by_truth
from funnel.evaluation.walk import discounted
from funnel.stages.config import RankConfig
from funnel.stages.rules import Rules
from funnel.synthetic import LatentTruth
from funnel.types import Candidates, Examples, Float32, Int32, Requests

K, _BATCH = 10, 128

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Of each request, the DCG@10 of a list by true clicks and by true value over the best: float64 [B]."""

    clicks: Float64
    value: Float64

    @property
    def figures(self) -> dict[str, float]:
        """Means."""
        return {"clicks": round(float(self.clicks.mean()), 4), "value": round(float(self.value.mean()), 4)}


def stage_shares(
    contents: Contents, examples: Examples, truth: LatentTruth, *, value: str | None = None
) -> dict[str, Shares]:
    """Shares by stage, and as "best of retrieved" what an order by the truth makes of what retrieval found:
    of clicks by clicks, of value by value; with rules also "best by the rules", of the whole catalogue, and
    "best of retrieved by the rules". value: another expression to order by."""
    if value is not None:
        contents = replace(contents, rank=RankConfig(value=value))
    funnel, found = contents.funnel(K), dict[str, list[tuple[Float64, Float64]]]()
    for start in range(0, len(examples), _BATCH):
        part = examples.take(np.arange(start, min(start + _BATCH, len(examples)))).requests
        truths = _truths(truth, part)
        for step in funnel.trace(part):
            lists = step.candidates.items
            found.setdefault(step.name, []).append(_of(truths, lists[:, :K]))
            if step.name == "retrieve":
                best = tuple(discounted(gains, _top(gains, lists)) / most for gains, most in truths)
                found.setdefault("best of retrieved", []).append((best[0], best[1]))
            if step.name == "eligible":
                of_found = _ruled(contents, part, truths, step.candidates)
                found.setdefault("best of retrieved by the rules", []).append(of_found)
        if contents.rules:
            found.setdefault("best by the rules", []).append(_ruled(contents, part, truths))
    found = {name: found[name] for name in sorted(found, key=lambda name: not name.startswith("best "))}
    return {
        name: Shares(*(np.concatenate([part[of] for part in parts]) for of in (0, 1)))
        for name, parts in found.items()
    }


Truths = Sequence[tuple[Float32, Float64]]


def _truths(truth: LatentTruth, requests: Requests) -> Truths:
    """True clicks and true worth of all items, and what the best list has of each."""
    values = truth.values(requests.users, requests.times)
    assert values is not None
    chance = (1 / (1 + np.exp(-truth.scores(requests.users, requests.times)))).astype(np.float32)
    return [(gains, discounted(gains, _best(gains, requests))) for gains in (chance, values)]


def _best(gains: Float32, requests: Requests) -> Int32:
    return best_by_truth(lambda _: gains, gains.shape[1], K)(requests).items


def _of(truths: Truths, lists: Int32) -> tuple[Float64, Float64]:
    clicks, value = (discounted(gains, lists) / most for gains, most in truths)
    return clicks, value


def _ruled(
    contents: Contents, requests: Requests, truths: Truths, among: Candidates | None = None
) -> tuple[Float64, Float64]:
    """What the best list has that keeps to the rules, of clicks and of value: the rules on the items in their
    true order, as deep as a shortlist. among: those that may be in it; default all."""
    clicks, value = (_ruled_by(contents, requests, gains, among) / most for gains, most in truths)
    return clicks, value


def _ruled_by(contents: Contents, requests: Requests, gains: Float32, among: Candidates | None) -> Float64:
    """The DCG@10 of the list that the rules make of items in the order of their gains."""
    if among is None:
        best = best_by_truth(lambda _: gains, gains.shape[1], contents.retrieve.k)(requests)
    else:
        own = np.take_along_axis(gains, np.maximum(among.items, 0), axis=1)
        best = among.ranked_by(np.where(among.filled, own, -np.inf).astype(np.float32))
    return discounted(gains, Rules(contents.ruleset, K)(requests, best).items[:, :K])


def _top(gains: Float32, lists: Int32) -> Int32:
    """The K best of each list by these gains."""
    of = np.where(lists >= 0, np.take_along_axis(gains, np.maximum(lists, 0), axis=1), -np.inf)
    return np.take_along_axis(lists, np.argsort(-of, axis=1, kind="stable")[:, :K], axis=1)


def beside(a: Float64, b: Float64, users: Int32, seed: int) -> dict[str, Any]:
    """a less b, paired by request and with users resampled; and a over b."""
    apart: Difference = paired(a, b, users, seed=seed)
    return {
        "difference": [round(value, 5) for value in (apart.mean, apart.lo, apart.hi)],
        "times": round(float(a.mean() / b.mean()), 3),
        "better": bool(apart.better),
    }


def propensities_beside_truth(contents: Contents, truth: LatentTruth) -> dict[str, Any] | None:
    """How far the first ten positions are looked at, by the log and in truth, each by the first; None where
    the bundle has none."""
    if contents.propensities is None or len(contents.propensities.values) < 2:
        return None
    found = np.array(contents.propensities.values[:10])
    true = truth.examination[: len(found)] / truth.examination[0]
    return {
        "found": found.round(4).tolist(),
        "true": true.round(4).tolist(),
        "largest difference": round(float(np.abs(found - true).max()), 4),
    }


def p50(
    lives: dict[str, Live], users: Sequence[int], context: dict[str, Any], rounds: int
) -> dict[str, float]:
    """Milliseconds of `Live.recommend`, by turns. context: given to bundles that know a moment."""
    taken: dict[str, list[float]] = {name: [] for name in lives}
    for number in range(rounds):
        for name, live in lives.items():
            more = {"context": context} if live.contents.context is not None else {}
            began = time.perf_counter()
            live.recommend(users[number % len(users)], K, **more)
            if number >= 10:  # the first are not timed: compilation and cold caches
                taken[name].append(time.perf_counter() - began)
    return {name: round(1000 * float(np.median(some)), 3) for name, some in taken.items()}
