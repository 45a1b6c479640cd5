"""What training leaves: towers with their weights, and how it went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from funnel.errors import FunnelError
from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.validate import TorchEncoder
from funnel.types import Clock, Float32, Requests


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the log. validation: NDCG@100 of the averaged weights, None where nothing was held out.
    seconds: training alone."""

    number: int
    loss: float
    validation: float | None
    positions: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """Towers with the weights that did best on validation.

    model: in eval mode. item_vectors: float32 [n_items, d]. best: the number of the epoch that was kept.
    kinds: of events that a history tells apart.
    """

    config: TowersConfig
    clock: Clock
    item_specs: Mapping[str, Spec]
    user_specs: Mapping[str, Spec]
    model: TwoTowers
    item_vectors: Float32
    epochs: tuple[Epoch, ...]
    best: int
    context_specs: Mapping[str, Spec] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()

    def encode(self, requests: Requests) -> Float32:
        """Queries by torch: float32 [B, d]."""
        vectors = torch.from_numpy(self.item_vectors)
        limit = self.config.reads(self.clock)
        specs = self.user_specs, limit, self.clock, self.context_specs
        return TorchEncoder(self.model.query, vectors, *specs).encode(requests)


def diverged(config: TowersConfig, what: str) -> FunnelError:
    """The error for a training that came to numbers that are not finite. what: are not, and when."""
    return FunnelError(
        f"training diverged: {what} not finite; lower towers.lr, which is {config.lr:g}, or "
        f"towers.weight_decay, which is {config.weight_decay:g}"
    )
