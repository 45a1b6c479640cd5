from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from funnel.towers.config import TowersConfig
from funnel.towers.training.losses import Drawn
from funnel.towers.training.negatives import CountedFrequencies, Negatives, Streaming

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Drawn], Tensor]


def test_gbce_needs_negatives_that_are_drawn_evenly() -> None:
    for options in ({"in_batch": 1.0}, {"in_batch": 0.5, "hard": 0.5}, {"in_batch": 0.9, "negatives": 4}):
        with pytest.raises(ValueError, match="leave some of them to that"):
            TowersConfig.model_validate({"loss": "gbce", **options})


def test_shares_of_few_negatives_are_never_more_than_all() -> None:
    assert TowersConfig(negatives=3, in_batch=0.5, hard=0.5).negative_counts == (2, 1, 0)


COUNTS = np.array([50, 30, 20, 0])
LOG = np.repeat(np.arange(4), COUNTS)


def negatives(**options: Any) -> Negatives:
    return Negatives(TowersConfig(**options), COUNTS)


@pytest.mark.parametrize("in_batch", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("hard", [0.0, 0.4])
def test_log_q_is_the_log_of_how_often_an_item_is_drawn(
    in_batch: float, hard: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funnel.towers.training.negatives.NEAR", 2)
    rng = np.random.default_rng(0)
    draws = negatives(negatives=40, in_batch=in_batch * (1 - hard), hard=hard)
    draws.refresh(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), rng)
    drawn = [draws.draw(rng.choice(LOG, 60), rng) for _ in range(500)]
    share = np.bincount(np.concatenate([items for items, _, _ in drawn]), minlength=4) / 20_000
    items, log_q, _ = drawn[0]
    np.testing.assert_allclose(np.exp(log_q), share[items], atol=0.015)
    assert len(items) == 40


def test_hard_negatives_are_the_nearest_items_of_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funnel.towers.training.negatives.NEAR", 1)
    draws = negatives(negatives=50, in_batch=0.0, hard=1.0)
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    draws.refresh(vectors, np.random.default_rng(0))
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
    np.testing.assert_allclose(streaming.chances()[:3], CountedFrequencies(COUNTS).chances()[:3], rtol=0.15)


def test_streaming_frequencies_of_items_that_never_come_go_to_zero() -> None:
    rng, streaming = np.random.default_rng(0), Streaming(1000, rate=0.01)
    for _ in range(400):
        streaming.see(rng.choice(LOG, 64))
    assert streaming.chances()[4:].max() < 1e-4
    assert streaming.chances().sum() == pytest.approx(1, abs=0.1)


def test_streaming_frequencies_follow_a_change() -> None:
    streaming, rng = Streaming(2), np.random.default_rng(0)
    for _ in range(50):
        streaming.see(rng.choice(2, 100, p=[0.9, 0.1]))
    before = streaming.chances()
    for _ in range(50):
        streaming.see(rng.choice(2, 100, p=[0.1, 0.9]))
    assert before[0] > 0.8
    assert streaming.chances()[1] > 0.8


def test_an_item_that_nobody_was_offered_is_never_drawn() -> None:
    counts = np.array([4, 0, 3, 0, 2, 1] * 10)
    met = np.flatnonzero(counts)
    config = TowersConfig(negatives=600, in_batch=0.5, hard=0.2)
    negatives, rng = Negatives(config, counts, met), np.random.default_rng(0)
    targets = rng.choice(len(counts), 400, p=counts / counts.sum())
    for _ in range(2):
        items, log_q, _ = negatives.draw(targets, rng)
        assert set(items.tolist()) <= set(met.tolist())
        assert len(log_q) == len(items)
        negatives.refresh(torch.randn(len(counts), 8), rng)
    every = negatives._log_q(met, np.array([0.5, 0.2, 0.3]))
    assert np.exp(every).sum() == pytest.approx(1, abs=1e-6)
