"""The same code on the CPU and on a GPU: what is seen without one, and where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from funnel.errors import ConfigError
from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import sequences
from funnel.towers.training.devices import Device, ahead
from funnel.towers.training.layers import Attention
from funnel.towers.training.model import TwoTowers, tensors
from funnel.towers.training.objective import Objective
from funnel.towers.training.steps import steps
from funnel.towers.training.train import train
from funnel.towers.training.trained import Epoch

from .world import ITEM_SPECS, SMALL, USER_SPECS, world

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
WORLD = world()


def test_where_there_is_no_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Device.named("auto") == Device.named("cpu") == Device()
    with pytest.raises(ConfigError, match=r'towers\.device is "cuda", and torch finds no CUDA device'):
        train(*WORLD.arguments(), SMALL.model_copy(update={"device": "cuda"}))


def test_where_towers_are_trained_is_no_part_of_what_they_are_made_from() -> None:
    assert TowersConfig(device="cpu").model_dump() == TowersConfig(device="cuda").model_dump()


def test_what_is_made_ahead_comes_in_order_and_errors_come_through() -> None:
    def values() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken")

    came: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        came.extend(one for one in ahead(values(), lambda one: one * 10))
    assert came == [0, 10, 20, 30, 40]
    assert list(ahead(iter(()), lambda one: one)) == []


@dataclass(frozen=True)
class Nested:
    rows: NDArray[Any]
    parts: tuple[Any, ...]
    nothing: None = None


def test_arrays_are_pinned_wherever_they_are_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinning itself needs a GPU; here it is a copy that is counted."""
    pinned: list[int] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.numel())
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    value = Nested(np.arange(3), (Nested(np.arange(2), ()), 7))
    out = Device(torch.device("cuda")).pinned(value)
    assert pinned == [3, 2]
    assert out.rows.tolist() == [0, 1, 2]
    assert out.parts[0].rows.tolist() == [0, 1]
    assert out.parts[1] == 7
    assert Device().pinned(value) is value


@pytest.mark.parametrize("packed", [True, False])
def test_fused_attention_is_attention(packed: bool) -> None:
    """Over rows of several histories, and at one position of each; the learned distance has its gradient."""
    torch.manual_seed(0)
    layer = Attention(16, 2, 8, dropout=0.5).eval()
    with torch.no_grad():
        layer.distance.bias.normal_()
    x = torch.randn(3, 9, 16)
    first = torch.tensor([0, 0, 0, 3, 3, 5, 5, 5, 5]).repeat(3, 1)
    at = torch.tensor([8, 2, 5])
    found = []
    for fused in (False, True):
        layer.one_kernel = fused
        out = layer(x, first=first) if packed else layer(x, at=at)
        (gradient,) = torch.autograd.grad(out.square().sum(), layer.distance.bias)
        found.append((out.detach(), gradient))
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax", "gbce"])
def test_products_in_bfloat16_give_about_the_same_gradients(loss: str) -> None:
    """Weights and gradients stay in float32."""
    plain, mixed = (gradients(Device(mixed=mixed), loss) for mixed in (False, True))
    assert mixed.keys() == plain.keys()
    for name, gradient in plain.items():
        assert mixed[name].dtype == torch.float32
        far = (mixed[name] - gradient).norm() / gradient.norm().clamp(min=1e-3)
        assert far < 0.05, name
    assert any(not torch.equal(mixed[name], plain[name]) for name in plain)


def gradients(device: Device, loss: str) -> dict[str, torch.Tensor]:
    """Of the first step."""
    torch.manual_seed(0)
    log, options = WORLD.log, {"dropout": 0.0, "id_dropout": 0.0, "loss": loss, "negatives": 24}
    config = SMALL.model_copy(update=options)
    counts = np.bincount(log.items, minlength=log.n_items)
    model = TwoTowers(config, ITEM_SPECS, USER_SPECS, counts > 0, "time")
    columns = [tensors(WORLD.item_features, list(ITEM_SPECS)), tensors(WORLD.user_features, list(USER_SPECS))]
    objective = Objective(config, model, counts, *columns, "time", device=device)
    step = next(steps(sequences(log, 8, np.random.default_rng(0)), 500, np.random.default_rng(1), 2))
    with ThreadPoolExecutor(2) as pool:
        _, touched = objective(step, np.random.default_rng(2), pool)
    others = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    return {"ids": touched.gradient, **{name: one for name, one in others.items() if name != "items.ids"}}


@CUDA
@pytest.mark.parametrize("loss", ["full_softmax", "sampled_softmax"])
def test_a_gpu_trains_towers_as_good_as_the_cpus(loss: str) -> None:
    config = SMALL.model_copy(update={"loss": loss, "negatives": 24})
    for device in ("cpu", "cuda"):
        trained = train(*WORLD.arguments(), config.model_copy(update={"device": device}))
        best = trained.epochs[trained.best].validation
        assert best is not None
        assert best > 0.95
        assert trained.model.items.ids.device.type == "cpu"


@CUDA
@pytest.mark.parametrize(("before", "after"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_checkpoint_moves_both_ways(tmp_path: Path, before: str, after: str) -> None:
    class Interrupted(Exception):
        pass

    def stop(epoch: Epoch) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train(*WORLD.arguments(), SMALL.model_copy(update={"device": before}), folder=tmp_path, on_epoch=stop)
    numbers: list[int] = []
    changed = SMALL.model_copy(update={"device": after})
    train(*WORLD.arguments(), changed, folder=tmp_path, on_epoch=lambda e: numbers.append(e.number))
    assert numbers[0] == 1
