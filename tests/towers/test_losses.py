from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from funnel.towers.training import chunked
from funnel.towers.training.losses import GBCE, Drawn, SampledSoftmax, full_softmax

D, N, P = 6, 20, 9


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, inputs))


#: Each position asks by itself, or several share a query and one query has nothing to find.
ALONE, SHARED = torch.arange(P), torch.tensor([0, 0, 0, 1, 3, 3, 4, 4, 4])


@pytest.mark.parametrize("chunk", [1, 2, 1 << 19])
@pytest.mark.parametrize("query_of", [ALONE, SHARED])
def test_full_softmax_is_cross_entropy(
    rng: torch.Generator, query_of: Tensor, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked, "CHUNK", chunk * N)
    monkeypatch.setattr(chunked, "LEAST", 1)
    queries, items = normal(rng, int(query_of.max()) + 1, D), normal(rng, N, D)
    targets = torch.randint(0, N, (P,), generator=rng)
    got = full_softmax(queries, items, targets, query_of)
    want = F.cross_entropy(queries[query_of] @ items.T, targets)
    torch.testing.assert_close(got, want)
    for a, b in zip(gradients(3 * got, queries, items), gradients(3 * want, queries, items), strict=True):
        torch.testing.assert_close(a, b)


def test_full_softmax_survives_large_logits() -> None:
    queries, items = torch.full((1, 1), 1000.0), torch.tensor([[1.0], [-1.0]])
    first = torch.tensor([0])
    assert full_softmax(queries, items, first, first).item() == 0
    assert full_softmax(queries, items, torch.tensor([1]), first).item() == 2000


def slow(
    queries: Tensor,
    items: Tensor,
    targets: Tensor,
    query_of: Tensor,
    drawn: Tensor,
    chance: Tensor,
    logq: str,
) -> list[Tensor]:
    """One loss a position, in plain sums."""
    out = []
    for number, t in zip(query_of.tolist(), targets.tolist(), strict=True):
        q, own = queries[number], targets[query_of == number].tolist()
        others = [i for i in drawn.tolist() if i not in own]
        n, positive = len(others), (q @ items[t]).exp()
        if logq == "usual":
            positive = positive / chance[t]
        weight = {
            "none": lambda i: 1.0,
            "usual": lambda i: 1 / chance[i],
            "corrected": lambda i, own=own, n=n: (1 - sum(chance[j] for j in set(own))) / chance[i] / n,
        }[logq]
        negative = sum(((q @ items[i]).exp() * weight(i) for i in others), torch.zeros(()))
        out.append(-(positive / (positive + negative)).log())
    return out


@pytest.fixture
def step(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """queries, items, targets, drawn items (some of them targets), the chance of each item."""
    chance = torch.rand(N, generator=rng, dtype=torch.float64)
    targets = torch.randint(0, N, (P,), generator=rng)
    drawn = torch.cat([targets[:4], torch.randint(0, N, (8,), generator=rng)])
    return normal(rng, P, D), normal(rng, N, D), targets, drawn, chance / chance.sum()


Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Drawn], Tensor]


def apply(
    loss: Loss, queries: Tensor, items: Tensor, targets: Tensor, drawn: Tensor, chance: Tensor,
    query_of: Tensor | None = None,
) -> Tensor:  # fmt: skip
    given = Drawn(drawn, chance[drawn].log(), chance[targets].log())
    asked = torch.arange(len(targets)) if query_of is None else query_of
    return loss(queries, items[targets], items[drawn], targets, asked, given)


@pytest.mark.parametrize("query_of", [ALONE, SHARED])
@pytest.mark.parametrize("logq", ["none", "usual", "corrected"])
def test_sampled_softmax_is_its_formula(
    step: tuple[Tensor, ...], logq: Literal["none", "usual", "corrected"], query_of: Tensor
) -> None:
    queries, items, targets, drawn, chance = step
    got = apply(SampledSoftmax(logq), queries, items, targets, drawn, chance, query_of)
    want = torch.stack(slow(queries, items, targets, query_of, drawn, chance, logq)).mean()
    torch.testing.assert_close(got, want)
    for a, b in zip(gradients(got, queries, items), gradients(want, queries, items), strict=True):
        torch.testing.assert_close(a, b)


def test_the_corrected_gradient_is_the_papers(step: tuple[Tensor, ...]) -> None:
    """arXiv 2507.09331: (1 - P(target)) held fixed, times -(s+ - log sum e^(s- - log Q'))."""
    queries, items, targets, drawn, chance = step
    parts = []
    for q, t in zip(queries, targets.tolist(), strict=True):
        others = torch.tensor([i for i in drawn.tolist() if i != t])
        corrected = items[others] @ q - (chance[others] / (1 - chance[t])).log()
        positive = items[t] @ q
        mean_odds = corrected.logsumexp(0) - math.log(len(others))
        wrong = 1 - torch.sigmoid(positive - mean_odds).detach()
        parts.append(wrong * (corrected.logsumexp(0) - positive))
    want = gradients(torch.stack(parts).mean(), queries, items)
    got = gradients(
        apply(SampledSoftmax("corrected"), queries, items, targets, drawn, chance), queries, items
    )
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_corrected_softmax_over_every_item_is_full_softmax(step: tuple[Tensor, ...]) -> None:
    queries, items, targets, _, _ = step
    everything, even = torch.arange(N), torch.full((N,), 1 / N, dtype=torch.float64)
    got = apply(SampledSoftmax("corrected"), queries, items, targets, everything, even)
    torch.testing.assert_close(got, full_softmax(queries, items, targets, ALONE))


def test_corrected_softmax_comes_nearest_to_the_full_gradient(step: tuple[Tensor, ...]) -> None:
    """In the mean over many draws from an uneven Q."""
    queries, items, targets, _, chance = step
    exact = gradients(full_softmax(queries, items, targets, ALONE), queries)[0]
    away = {}
    draws = np.random.default_rng(0).choice(N, (300, 40), p=chance.numpy())
    for logq in ("none", "usual", "corrected"):
        loss = SampledSoftmax(logq)
        mean = sum(
            gradients(apply(loss, queries, items, targets, torch.from_numpy(d), chance), queries)[0]
            for d in draws
        ) / len(draws)
        away[logq] = float((mean - exact).norm() / exact.norm())
    assert away["corrected"] < away["usual"] < away["none"]
    assert away["corrected"] < 0.1  # what is left is the bias of a ratio of finite sums


@pytest.mark.parametrize("loss", [SampledSoftmax("none"), SampledSoftmax("corrected"), GBCE(N)])
def test_a_step_whose_only_negative_is_the_target(loss: Loss) -> None:
    queries, items = torch.ones(1, 2, requires_grad=True), torch.ones(3, 2)
    target = torch.tensor([1])
    value = apply(loss, queries, items, target, target, torch.full((3,), 1 / 3))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.isfinite()
    assert queries.grad is not None
    assert queries.grad.isfinite().all()


@pytest.mark.parametrize("query_of", [ALONE, SHARED])
def test_gbce_of_even_negatives_is_its_formula(step: tuple[Tensor, ...], query_of: Tensor) -> None:
    """Each of them that counts then weighs k / (those that count), and 1 where all do."""
    queries, items, targets, drawn, _ = step
    even, t, k = torch.full((N,), 1 / N, dtype=torch.float64), 0.75, len(drawn)
    want = torch.zeros((), dtype=torch.float64)
    for number, target in zip(query_of.tolist(), targets.tolist(), strict=True):
        q, own = queries[number], set(targets[query_of == number].tolist())
        a = k / (N - len(own))
        beta = a * (t * (1 - 1 / a) + 1 / a)
        others = [i for i in drawn.tolist() if i not in own]
        mean = -sum((1 - torch.sigmoid(q @ items[i])).log() for i in others) / len(others)
        want = want - beta * torch.sigmoid(q @ items[target]).log() + k * mean
    got = apply(GBCE(N, t), queries, items, targets, drawn, even, query_of)
    torch.testing.assert_close(got, want / P)


def test_gbce_without_calibration_is_plain_cross_entropy() -> None:
    assert GBCE(1000, t=0.0).beta(10) == pytest.approx(1.0)
    assert GBCE(1000, t=1.0).beta(10) == pytest.approx(10 / 999)


def test_the_same_target_twice_is_one_target() -> None:
    """In what is left out of the draws; its loss counts twice."""
    generator = torch.Generator().manual_seed(1)
    queries, items = normal(generator, 1, D), normal(generator, N, D)
    chance = torch.rand(N, generator=generator, dtype=torch.float64)
    chance, drawn, shared = chance / chance.sum(), torch.arange(N), torch.zeros(1, dtype=torch.int64)
    for loss in (SampledSoftmax("corrected"), GBCE(N)):
        once, twice = (
            apply(loss, queries, items, targets, drawn, chance, shared.expand(len(targets)))
            for targets in (torch.tensor([3]), torch.tensor([3, 3]))
        )
        torch.testing.assert_close(once, twice)
