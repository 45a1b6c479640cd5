"""What sampled losses estimate, from negatives as training draws them, beside exact sums over all items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from funnel.towers.config import TowersConfig
from funnel.towers.training.losses import GBCE, Drawn, SampledSoftmax
from funnel.towers.training.negatives import Negatives

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Drawn], Tensor]


@dataclass(frozen=True)
class Popular:
    """One query over items of which popular ones score higher, so that a wrong chance shows.

    In a step with the query's targets are those of other queries, drawn by popularity.
    """

    targets: tuple[int, ...]
    n: int = 60
    others: int = 30

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        chances = 1 / np.arange(1, self.n + 1)
        return chances / chances.sum()

    @cached_property
    def scores(self) -> Tensor:
        noise = torch.randn(self.n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        return torch.linspace(1.5, -1.5, self.n, dtype=torch.float64) + 0.3 * noise

    @property
    def rest(self) -> Tensor:
        """Scores of all that is no target."""
        return self.scores[np.setdiff1d(np.arange(self.n), self.targets)]

    def step(self, draws: Negatives, rng: np.random.Generator, loss: Loss) -> float:
        """The loss of the query's targets in a random step, negatives drawn as in training."""
        own = len(self.targets)
        targets = np.append(self.targets, rng.choice(self.n, self.others, p=self.chances))
        query_of = np.append(np.zeros(own, int), 1 + np.arange(self.others) // 10)
        rows, log_q, target_log_q = draws.draw(targets, rng, query_of)
        items, scale = torch.eye(self.n, dtype=torch.float64), self.scores[None]
        first = Drawn(
            *(torch.from_numpy(part.astype(kind)) for part, kind in (
                (rows, np.int64), (log_q[:1], np.float64), (target_log_q[:own], np.float64)
            ))
        )  # fmt: skip
        mine, whose = torch.tensor(self.targets), torch.zeros(own, dtype=torch.int64)
        return float(loss(scale, items[mine], items[rows], mine, whose, first))


MIXTURES = [
    {"in_batch": 0.0},
    {"in_batch": 0.5},
    {"in_batch": 0.3, "hard": 0.3},
    {"in_batch": 0.5, "frequencies": "streaming"},
]


def sampler(world: Popular, negatives: int, **options: Any) -> Negatives:
    draws = Negatives(
        TowersConfig(negatives=negatives, **options), np.round(world.chances * 1e6).astype(np.int64)
    )
    rng = np.random.default_rng(0)
    for _ in range(3000):
        draws.frequency.see(rng.choice(world.n, world.others, p=world.chances))
    return draws


@pytest.mark.parametrize("options", MIXTURES)
@pytest.mark.parametrize("targets", [(5,), (0, 2, 9, 30), tuple(range(0, 40, 2))])
def test_corrected_softmax_is_that_over_all_items_but_the_querys_targets(
    options: dict[str, Any], targets: tuple[int, ...]
) -> None:
    """Whatever the negatives are drawn from. Many of them, so that no bias of a logarithm is left."""
    world = Popular(targets, others=3000)
    own, rng = world.scores[list(targets)], np.random.default_rng(1)
    exact = float((torch.log(own.exp() + world.rest.exp().sum()) - own).mean())
    draws = sampler(world, 6000, **options)
    draws.refresh(torch.randn(world.n, 4, generator=torch.Generator().manual_seed(0)), rng)
    found = [world.step(draws, rng, SampledSoftmax("corrected")) for _ in range(6)]
    assert np.mean(found) == pytest.approx(exact, rel=0.012)


@pytest.mark.parametrize(
    ("options", "targets"),
    [(options, targets) for options in MIXTURES for targets in [(5,), tuple(range(0, 40, 2))]],
)
def test_gbce_is_in_the_mean_that_of_even_negatives(
    options: dict[str, Any], targets: tuple[int, ...]
) -> None:
    """k of them: k times the mean over the items that are no targets, and beta for k of so many."""
    world, k, t = Popular(targets), 24, 0.75
    own, rng = world.scores[list(targets)], np.random.default_rng(1)
    a = k / len(world.rest)
    beta = a * (t * (1 - 1 / a) + 1 / a) if a < 1 else 1.0
    even = min(k, len(world.rest)) * F.softplus(world.rest).mean()
    exact = float(beta * F.softplus(-own).mean() + even)
    draws = sampler(world, k, **options)
    found = [world.step(draws, rng, GBCE(world.n, t)) for _ in range(3000)]
    error = np.std(found) / len(found) ** 0.5
    assert error < 0.005 * exact
    assert np.mean(found) == pytest.approx(exact, abs=4 * error + 0.01 * exact)


def test_a_querys_own_share_of_the_step_is_known_to_its_chances() -> None:
    """Half of the step are one query's targets: of the draws that count, fewer come from the step."""
    world = Popular(tuple(range(20, 50)), others=30)
    exact = float(world.rest.exp().sum())
    draws, rng, found = sampler(world, 40, in_batch=0.5), np.random.default_rng(1), []
    score = float(world.scores[20])
    for _ in range(4000):
        loss = world.step(draws, rng, first_only)
        found.append(np.exp(loss + score) - np.exp(score))
    error = np.std(found) / len(found) ** 0.5
    assert error < 0.01 * exact
    assert np.mean(found) == pytest.approx(exact, abs=3 * error)


def first_only(
    queries: Tensor, positives: Tensor, negatives: Tensor, targets: Tensor, query_of: Tensor, drawn: Drawn
) -> Tensor:
    """Every target has the first one's score: the loss is log(e^s + mass) - s."""
    first = positives[:1].expand_as(positives)
    return SampledSoftmax("corrected")(queries, first, negatives, targets, query_of, drawn)
