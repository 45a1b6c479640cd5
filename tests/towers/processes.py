"""Trainings in processes of a group of their own, over gloo and a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from funnel.errors import FunnelError
from funnel.towers.config import TowersConfig
from funnel.towers.training.batches import sequences
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.sharded import train_sharded
from funnel.towers.training.trained import Epoch
from funnel.towers.training.trainer import Trainer
from funnel.towers.training.workers import workers
from tests.processes import context

from .world import SMALL, world

#: No chance beyond the seeds that all processes share.
STILL = SMALL.model_copy(update={"dropout": 0.0, "id_dropout": 0.0, "epochs": 3, "negatives": 24})
SAMPLED = {"loss": "sampled_softmax"}


def config(**changes: Any) -> TowersConfig:
    return STILL.model_copy(update=changes)


class Interrupted(Exception):
    pass


def first_step(ranks: Ranks, **changes: Any) -> dict[str, Any]:
    """Loss and gradients of the first step: of the ids by item, of the others by name."""
    changed = config(**changes)
    trainer = Trainer(*world().arguments(), changed, 0, ranks=ranks)
    trainer.start()
    rng = np.random.default_rng(0)
    events = world().log
    made = next(trainer._steps(sequences(events, changed.history, rng), rng))
    with torch.random.fork_rng(devices=[]), workers() as pool:
        loss, touched = trainer._objective(made, np.random.default_rng(1), pool)
    ids = torch.zeros_like(trainer._model.items.ids)
    ids[slice(None) if touched.rows is None else touched.rows] = touched.gradient
    others = {name: w.grad for name, w in trainer._model.named_parameters() if w.grad is not None}
    return {"loss": loss, "ids": ids, **{name: one for name, one in others.items() if name != "items.ids"}}


def outcome(
    clock: Any, folder: Path | None = None, stop: int | None = None, **changes: Any
) -> dict[str, Any]:
    """What a whole training ends with; stop: the number of the epoch after which it is killed."""
    numbers: list[int] = []

    def on_epoch(epoch: Epoch) -> None:
        numbers.append(epoch.number)
        if epoch.number == stop:
            raise Interrupted

    try:
        trained = train_sharded(
            *world(clock).arguments(), config(**changes), folder=folder, on_epoch=on_epoch
        )
    except Interrupted:
        return {"numbers": numbers}
    if trained is None:
        return {"numbers": numbers, "whole": False}
    return {
        "numbers": numbers,
        "whole": True,
        "losses": [epoch.loss for epoch in trained.epochs],
        "validation": [epoch.validation for epoch in trained.epochs],
        "vectors": torch.from_numpy(trained.item_vectors),
        "ids": trained.model.items.ids.detach(),
    }


def refused(call: Callable[[], object]) -> str:
    """What a call is refused with."""
    try:
        call()
    except FunnelError as error:
        return f"{type(error).__name__}: {error}"
    return "not refused"


def in_processes(size: int, work: Callable[[Ranks, Path], Any], folder: Path) -> list[Any]:
    """What each process of a group returns. work: of a module, called with the group and a folder of all."""
    folder.mkdir(parents=True, exist_ok=True)
    context()  # what they are forked from has the libraries
    mp.start_processes(_process, (size, work, folder), nprocs=size, start_method="forkserver")
    return [torch.load(folder / f"result.{rank}", weights_only=True) for rank in range(size)]


def _process(rank: int, size: int, work: Callable[[Ranks, Path], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    torch.save(work(Ranks.here(), folder), folder / f"result.{rank}")
    dist.destroy_process_group()
