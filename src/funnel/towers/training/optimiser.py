"""Both optimisers of a training and the averages of all weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from funnel.towers.config import TowersConfig
from funnel.towers.training import checkpoint
from funnel.towers.training.averaging import Averaging
from funnel.towers.training.lookup import Touched
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.rows import LazyRows

States = dict[str, dict[str, Tensor]]


class Optimiser:
    """AdamW for all weights, but for items' ids of which a step reads a few: these have `LazyRows`. What is
    averaged is what both have made.

    model: is trained. averaged: of the same kind; becomes the mean of the model's weights over the steps.
    whole: whether each step says something about all rows of the ids, which are then weights like any other.
    """

    def __init__(self, model: TwoTowers, averaged: TwoTowers, config: TowersConfig, *, whole: bool) -> None:
        self._averaging, lr = Averaging(config.averaging), config.lr
        self.steps, self._ids = 0, model.items.ids
        pairs = [*zip(model.parameters(), averaged.parameters(), strict=True)]
        self._pairs = [(now, mean) for now, mean in pairs if whole or now is not self._ids]
        self._adam = _adam([now for now, _ in self._pairs if now.requires_grad], config, lr)
        rows = self._ids, averaged.items.ids, self._averaging, lr, config.weight_decay
        self._rows = None if whole else LazyRows(*rows)

    def zero(self) -> None:
        """Forget the last step's gradients."""
        self._adam.zero_grad(set_to_none=True)

    @torch.no_grad()
    def step(self, touched: Touched) -> None:
        """By the gradients of the other weights, and by what is said about the items' ids."""
        self.steps += 1
        if self._rows is None:
            self._ids.grad = touched.gradient
        else:
            assert touched.rows is not None
            self._rows.step(touched.rows, touched.gradient, self.steps)
        self._adam.step()
        share = 1 - self._averaging.kept(self.steps)
        for now, mean in self._pairs:
            mean.lerp_(now, share)

    def settle(self) -> None:
        """Make up for what was left for later: the averages are those of the last step."""
        if self._rows is not None:
            self._rows.settle(self.steps)

    def states(self) -> States:
        """The moments, for a checkpoint."""
        rows = {} if self._rows is None else self._rows.state()
        return {"optimiser": checkpoint.optimiser_state(self._adam), "rows": rows}

    def restore(self, states: Mapping[str, Mapping[str, Tensor]], steps: int) -> None:
        """Take up `states` of after so many steps."""
        self.steps = steps
        checkpoint.restore_optimiser(self._adam, states["optimiser"])
        if self._rows is not None:
            self._rows.restore(states["rows"], steps)


def _adam(trained: list[torch.nn.Parameter], config: TowersConfig, lr: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); weights decay, biases, norms and the temperature do not."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, fused=True)
