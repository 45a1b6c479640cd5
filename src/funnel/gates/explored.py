"""What drawing lists by chance costs on the holdout: chosen for a stated loss, and looked at again by a
gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Funnel
from funnel.evaluation import paired
from funnel.evaluation.chunks import each_chunk
from funnel.evaluation.metrics import Float64, compute
from funnel.gates.findings import Finding, at_most
from funnel.policies import Drawing, ExploreConfig
from funnel.policies.config import NO_EPSILON
from funnel.recipes import Recipe
from funnel.stages.stage import Stage
from funnel.types import Candidates, Examples, Int64, Requests

#: Requests that losses are measured on, and lists that are drawn for each.
REQUESTS, DRAWS = 2_000, 4

#: What is tried, rising: the loss rises with both.
EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
TEMPERATURES = tuple(2.0 ** (number / 2) for number in range(-18, 7))

#: The part of the loss that epsilon may use up.
_OF_EPSILON = 0.25

#: The bound that must keep to the loss is one-sided, of 95%.
_LEVEL = 0.9


@dataclass(frozen=True)
class ExploreLoss:
    """Of NDCG@k, as a share of that of the lists that are not drawn. mean, and the bound `hi` that it is
    below with 95% confidence. greedy: that NDCG. requests: how many it was measured on."""

    mean: float
    hi: float
    greedy: float
    requests: int

    @property
    def sentence(self) -> str:
        """In words."""
        return (
            f"NDCG {self.greedy * (1 - self.mean):.4f} of drawn lists, {self.greedy:.4f} of others: a loss "
            f"of {self.mean:.2%}, below {self.hi:.2%} with 95% confidence ({self.requests:,} requests)"
        )


class Losses:
    """Measures by what lists can be drawn at what loss. seed: of the sample, the draws and the bounds."""

    def __init__(self, contents: Contents, examples: Examples, seed: int) -> None:
        rows = np.sort(np.random.default_rng(seed).permutation(len(examples))[:REQUESTS])
        self._examples, self._contents, self._seed = examples.take(rows), contents, seed
        self._k = contents.rerank.k
        self._ranked = list(each_chunk(Recipe(_ranked, contents, self._k), self._examples.requests))
        self._greedy = self._ndcg(contents.behind_ranking(self._k), None)

    def of(self, drawing: Drawing) -> ExploreLoss:
        """The loss of drawing by this."""
        stages, rng = self._contents.drawing(drawing, self._k), np.random.default_rng(self._seed)
        drawn = np.zeros(len(self._examples))
        for _ in range(DRAWS):
            drawn += self._ndcg(stages, rng.integers(2**52, size=len(drawn))) / DRAWS
        mean, users = float(self._greedy.mean()), self._examples.requests.users
        fall = paired(self._greedy, drawn, users, seed=self._seed, level=_LEVEL)
        if mean == 0:
            return ExploreLoss(0.0, 0.0, 0.0, len(drawn))
        return ExploreLoss(fall.mean / mean, fall.hi / mean, mean, len(drawn))

    def _ndcg(self, stages: Sequence[Stage], seeds: Int64 | None) -> Float64:
        parts, start = [], 0
        for ranked in self._ranked:
            numbers = np.arange(start, start + len(ranked))
            requests = self._examples.requests.take(numbers)
            lists = _through(stages, _seeded(requests, None if seeds is None else seeds[numbers]), ranked)
            targets = self._examples.targets.take(numbers)
            parts.append(compute(f"ndcg@{self._k}", lists.items, targets))
            start += len(ranked)
        return np.concatenate(parts)


def choose(
    contents: Contents, examples: Examples, config: ExploreConfig, seed: int
) -> tuple[Drawing | None, str]:
    """By what a bundle draws its lists, and a sentence that says what it loses.

    The most that keeps to `config.max_loss`: epsilon first, with a quarter of it, then temperature. None
    where nothing that is tried does, or there is no NDCG to lose.
    """
    losses = Losses(contents, examples, seed)
    fixed = config.epsilon is not None or config.temperature is not None
    start = _drawing(config, config.temperature or 0.0, config.epsilon or NO_EPSILON)
    if config.max_loss is None:
        return start, f"lists are drawn: {losses.of(start).sentence}"
    if config.epsilon is None and config.temperature is None:
        start = _largest(losses, start, "epsilon", EPSILONS, _OF_EPSILON * config.max_loss)
    if config.temperature is None:
        start = _largest(losses, start, "temperature", TEMPERATURES, config.max_loss)
    elif config.epsilon is None:
        start = _largest(losses, start, "epsilon", EPSILONS, config.max_loss)
    loss = losses.of(start)
    draws = start.temperature > 0 or start.epsilon > 0
    if not draws or (loss.hi > config.max_loss and not fixed) or loss.greedy == 0:
        return None, (
            f"no list is drawn: no temperature and epsilon are known to lose less than {config.max_loss:.2%} "
            f"of NDCG on {loss.requests:,} requests (`explore.max_loss`, `gates.holdout`)"
        )
    return start, (
        f"lists are drawn with temperature {start.temperature:.4g} and epsilon {start.epsilon:.4g}: "
        f"{loss.sentence}"
    )


def explored(contents: Contents, examples: Examples, seed: int) -> list[Finding]:
    """The loss of a bundle that draws lists, on draws of its own; nothing for others."""
    if contents.explore is None:
        return []
    loss = Losses(contents, examples, seed + 1).of(contents.explore)
    limit = 1.0 if contents.explore.max_loss is None else contents.explore.max_loss
    return [at_most("explore", loss.mean, limit, f"share of NDCG that drawn lists lose; {loss.sentence}")]


def _ranked(contents: Contents, k: int) -> Funnel:
    return Funnel(contents.until_reranking(k))


def _drawing(config: ExploreConfig, temperature: float, epsilon: float) -> Drawing:
    return Drawing(
        temperature=temperature,
        epsilon=epsilon,
        top=config.top,
        share=config.share,
        max_loss=config.max_loss,
    )


def _largest(losses: Losses, start: Drawing, name: str, values: Sequence[float], limit: float) -> Drawing:
    """With the largest value up to which the bound of the loss keeps to a limit; `start` where none does."""
    low, high = 0, len(values)  # found by halving, since the loss rises
    while low < high:
        middle = (low + high) // 2
        if losses.of(start.model_copy(update={name: values[middle]})).hi <= limit:
            low = middle + 1
        else:
            high = middle
    return start if low == 0 else start.model_copy(update={name: values[low - 1]})


def _seeded(requests: Requests, seeds: Int64 | None) -> Requests:
    return requests if seeds is None else replace(requests, seeds=seeds)


def _through(stages: Sequence[Stage], requests: Requests, candidates: Candidates) -> Candidates:
    for stage in stages:
        candidates = stage(requests, candidates)
    return candidates
