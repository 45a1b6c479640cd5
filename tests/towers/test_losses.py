from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from funnel.towers import losses
from funnel.towers.config import TowersConfig
from funnel.towers.losses import GBCE, Drawn, SampledSoftmax, full_softmax
from funnel.towers.negatives import Counted, Negatives, Streaming

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
    monkeypatch.setattr(losses, "CHUNK", chunk * N)
    monkeypatch.setattr(losses, "LEAST", 1)
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
            "corrected": lambda i, t=t, n=n: (1 - chance[t]) / chance[i] / n,
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
def test_gbce_is_its_formula(step: tuple[Tensor, ...], query_of: Tensor) -> None:
    queries, items, targets, drawn, chance = step
    a, t = len(drawn) / (N - 1), 0.75
    beta = a * (t * (1 - 1 / a) + 1 / a)
    want = 0.0
    for number, target in zip(query_of.tolist(), targets.tolist(), strict=True):
        q, own = queries[number], targets[query_of == number].tolist()
        want = want - beta * torch.sigmoid(q @ items[target]).log()
        for i in drawn.tolist():
            if i not in own:
                want = want - (1 - torch.sigmoid(q @ items[i])).log()
    got = apply(GBCE(N, t), queries, items, targets, drawn, chance, query_of)
    torch.testing.assert_close(got, want / P)  # type: ignore[arg-type]


def test_gbce_without_calibration_is_plain_cross_entropy() -> None:
    assert GBCE(1000, t=0.0).beta(10) == pytest.approx(1.0)
    assert GBCE(1000, t=1.0).beta(10) == pytest.approx(10 / 999)


COUNTS = np.array([50, 30, 20, 0])
LOG = np.repeat(np.arange(4), COUNTS)


def negatives(**options: Any) -> Negatives:
    return Negatives(TowersConfig(**options), COUNTS)


@pytest.mark.parametrize("in_batch", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("hard", [0.0, 0.4])
def test_log_q_is_the_log_of_how_often_an_item_is_drawn(
    in_batch: float, hard: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funnel.towers.negatives.NEAR", 2)
    rng = np.random.default_rng(0)
    draws = negatives(negatives=40, in_batch=in_batch * (1 - hard), hard=hard)
    draws.refresh(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]))
    drawn = [draws.draw(rng.choice(LOG, 60), rng) for _ in range(500)]
    share = np.bincount(np.concatenate([items for items, _, _ in drawn]), minlength=4) / 20_000
    items, log_q, _ = drawn[0]
    np.testing.assert_allclose(np.exp(log_q), share[items], atol=0.015)
    assert len(items) == 40


def test_hard_negatives_are_the_nearest_items_of_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funnel.towers.negatives.NEAR", 1)
    draws = negatives(negatives=50, in_batch=0.0, hard=1.0)
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    draws.refresh(vectors)
    items, _, _ = draws.draw(np.array([0, 2, 2]), np.random.default_rng(0))
    assert set(items.tolist()) == {1, 3}


def test_before_the_first_refresh_hard_negatives_are_uniform_ones() -> None:
    draws = negatives(negatives=4000, in_batch=0.0, hard=1.0)
    items, log_q, _ = draws.draw(np.array([0]), np.random.default_rng(0))
    assert (np.bincount(items) > 900).all()
    np.testing.assert_allclose(log_q, np.log(0.25), rtol=1e-6)


def test_a_step_with_few_targets_draws_fewer_of_them() -> None:
    items, _, _ = negatives(negatives=10, in_batch=1.0).draw(np.array([0, 1, 1]), np.random.default_rng(0))
    assert sorted(items.tolist()) == [0, 1, 1]


def test_streaming_frequencies_come_to_what_counting_says() -> None:
    rng, streaming = np.random.default_rng(0), Streaming(4, rate=0.01)
    for _ in range(400):
        streaming.see(rng.choice(LOG, 64))
    np.testing.assert_allclose(streaming.chances()[:3], Counted(COUNTS).chances()[:3], rtol=0.15)


def test_streaming_frequencies_follow_a_change() -> None:
    streaming, rng = Streaming(2), np.random.default_rng(0)
    for _ in range(50):
        streaming.see(rng.choice(2, 100, p=[0.9, 0.1]))
    before = streaming.chances()
    for _ in range(50):
        streaming.see(rng.choice(2, 100, p=[0.1, 0.9]))
    assert before[0] > 0.8
    assert streaming.chances()[1] > 0.8
