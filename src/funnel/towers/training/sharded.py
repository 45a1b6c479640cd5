"""Training by several processes, each of which holds some of the items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from funnel.errors import ConfigError
from funnel.features.encoders import Spec
from funnel.recipes import KeptFiles
from funnel.towers.config import TowersConfig
from funnel.towers.training.item_tower import PART
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.train import check, run, trained_by
from funnel.towers.training.trained import Epoch, Trained
from funnel.towers.training.trainer import Trainer
from funnel.towers.training.warm import Start
from funnel.types import Examples, Features, Log


class Options(TypedDict, total=False):
    """As in `train`."""

    seed: int
    folder: Path | KeptFiles | None
    start_from: Start | None
    context: Features | None
    context_specs: Mapping[str, Spec] | None
    texts: bool
    progress: bool
    on_epoch: Callable[[Epoch], None] | None


def train_sharded(
    events: Log,
    item_features: Features,
    item_specs: Mapping[str, Spec],
    user_features: Features,
    user_specs: Mapping[str, Spec],
    validation: Examples | None,
    config: TowersConfig,
    **options: Unpack[Options],
) -> Trained | None:
    """Train both towers in all processes of the initialised `torch.distributed` group; process 0 gets
    them, the others None.

    Every process calls this with the same arguments, those of `train`. Each holds, encodes and updates the
    items `Shard` gives it: their ids' embeddings, moments and averages, and their columns. It works on its
    part of each step, asks the others for the vectors that it reads, and sends their gradients back, both by
    all-to-all; gradients of all other weights are summed. Negatives, targets of the step among them, and the
    chances to draw them are those of the whole step, the same as in one process. folder: shared by all; each
    writes a checkpoint of its own, and another number of processes may go on from them.

    Raises: ConfigError where there is no group, more processes than items, or what is not trained in
    shards is asked for; DataError where processes were given different arguments; both before any training.
    """
    ranks = Ranks.here()
    check(events, validation, config)
    check_shards(events, config, ranks.size)
    trainer = Trainer(
        events, item_features, item_specs, user_features, user_specs, validation, config,
        options.get("seed", 0), options.get("context"), options.get("context_specs"),
        options.get("texts", False), ranks, options.get("folder"),
    )  # fmt: skip
    shown = options.get("progress", False) and ranks.rank == 0
    run(trainer, options.get("start_from"), shown, options.get("on_epoch"))
    return _whole(trainer, events, config, item_specs, user_specs, ranks)


def check_shards(events: Log, config: TowersConfig, size: int) -> None:
    """Raises: ConfigError for what so many processes cannot train."""
    if size > events.n_items:
        raise ConfigError(
            f"{size} processes share {events.n_items} items: each needs one at least, so start no more "
            f"than {events.n_items}"
        )
    if events.clock == "none" and config.graph:
        raise ConfigError(
            f"towers.graph = {config.graph} smooths over all items at once, and each process holds some: set "
            "towers.graph = 0, or train in one process"
        )
    if config.hard:
        raise ConfigError(
            f"towers.hard = {config.hard} looks for near items among all, and each process holds some: set "
            "towers.hard = 0, or train in one process"
        )


def _whole(
    trainer: Trainer,
    events: Log,
    config: TowersConfig,
    item_specs: Mapping[str, Spec],
    user_specs: Mapping[str, Spec],
    ranks: Ranks,
) -> Trained | None:
    """The towers of all items, in process 0."""
    part = trainer.best().cpu()
    n = events.n_items
    ids, vectors = gathered(part.items.ids[1:], n, ranks), gathered(trainer.vectors(), n, ranks)
    if ids is None or vectors is None:
        return None
    seen = np.bincount(events.items, minlength=n) > 0
    specs = item_specs, user_specs
    model = TwoTowers(config, *specs, seen, events.clock, trainer.context_specs, len(trainer.kinds))
    whole = torch.cat([part.items.ids[:1], ids])
    model.load_state_dict({**part.state_dict(), "items.ids": whole})
    return trained_by(trainer, model.eval(), vectors)


@torch.no_grad()
def gathered(rows: Tensor, n: int, ranks: Ranks) -> Tensor | None:
    """The rows of all n items from those of each process's, a part at a time; None but in process 0."""
    out = torch.empty(n, *rows.shape[1:]) if ranks.rank == 0 else None
    for at in range(0, -(-n // ranks.size), PART):
        for rank, part in enumerate(ranks.gather(rows[at : at + PART].cpu())):
            if out is not None:
                out[rank + at * ranks.size :: ranks.size][: len(part)] = part
    return out
