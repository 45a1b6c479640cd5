"""Encoding takes memory for what is kept, not for every value of every column: bytes of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.training import item_tower
from funnel.towers.training.bags import mean_embedding
from funnel.towers.training.item_tower import ItemTower
from funnel.towers.training.model import tensors
from funnel.towers.training.trainer import Trainer
from funnel.types import Log

D, WORDS = 8, 16


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that any operation gave."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor):
                self.bytes = max(self.bytes, one.numel() * one.element_size())
        return out


@contextmanager
def largest() -> Iterator[Largest]:
    with Largest() as mode:
        yield mode


def columns(n: int) -> tuple[dict[str, Any], dict[str, Spec]]:
    """Four texts, a category and a vector."""
    rng = np.random.default_rng(0)
    texts = {f"text {i}": rng.integers(0, 300, (n, WORDS)).astype(np.int32) for i in range(4)}
    others = {"shop": rng.integers(0, 9, n).astype(np.int32), "look": np.ones((n, 3), dtype=np.float32)}
    specs = {name: Spec("multi_category", 300, WORDS) for name in texts}
    return {**texts, **others}, {**specs, "shop": Spec("category", 9, 1), "look": Spec("vector", 3, 3)}


def trainer(n: int, clock: Any = "time", **options: Any) -> Trainer:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(20, dtype=np.int32), 10)
    log = Log(users, rng.integers(0, n, 200).astype(np.int32), np.arange(200), 20, n, clock)
    made = Trainer(
        log, *columns(n), {}, {}, None, TowersConfig(d=D, heads=1, layers=1, history=5, **options), 0
    )
    made.start()
    return made


@pytest.mark.parametrize("clock", ["time", "none"])
def test_a_catalogue_is_encoded_without_the_vectors_of_all_its_values(clock: str) -> None:
    n = 20_000
    made = trainer(n, clock)
    with largest() as most:
        assert made.vectors().shape == (n, D)
    assert most.bytes <= 2 * n * D * 4


def test_a_part_of_the_catalogue_at_a_time_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trainer(1000, "none")
    whole = made.vectors()
    monkeypatch.setattr(item_tower, "PART", 64)
    torch.testing.assert_close(made.vectors(), whole)


def test_a_training_step_over_all_items_has_no_such_tensor_either() -> None:
    """Neither forwards nor backwards."""
    n = 8192
    features, specs = columns(n)
    tower = ItemTower(TowersConfig(d=D, heads=1), specs, np.ones(n, dtype=np.bool_)).train()
    with largest() as most:
        tower(torch.arange(n), tensors(features, list(specs))).square().sum().backward()
    held = 4096 * WORDS * D * 4  # what the gradient adds at once, however many items there are
    assert most.bytes <= max(3 * n * D * 4, held)


@pytest.mark.parametrize("n", [0, 1, 7, 9000])
def test_a_mean_of_embeddings_is_what_gathering_them_gives(n: int) -> None:
    """To the last bit in its gradient, so that towers do not depend on how it is computed."""
    rng = np.random.default_rng(0)
    codes = torch.from_numpy(rng.integers(0, 12, (n, 5)).astype(np.int32) * (rng.random((n, 5)) < 0.6))
    codes = codes.to(torch.int32)
    table, other = (torch.randn(12, D, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    table.requires_grad_(), other.requires_grad_()
    there = (codes > 0).to(other.dtype)
    want = (F.embedding(codes, other) * there.unsqueeze(-1)).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
    got = mean_embedding(table, codes)
    torch.testing.assert_close(got, want)
    weights = torch.randn(n, D, generator=torch.Generator().manual_seed(1))
    for x in (got, want):
        x.backward(weights)
    assert table.grad is not None
    torch.testing.assert_close(table.grad, other.grad, rtol=0, atol=0)
