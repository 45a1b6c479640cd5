"""Training both towers on a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from funnel.errors import ConfigError, DataError
from funnel.features.encoders import Spec
from funnel.towers.config import TowersConfig
from funnel.towers.training.kinds import target_counts
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.progress import TrainingProgress
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.trained import Epoch, Trained
from funnel.towers.training.trainer import Trainer
from funnel.towers.training.warm import Start
from funnel.types import Examples, Features, Log


def train(
    events: Log,
    item_features: Features,
    item_specs: Mapping[str, Spec],
    user_features: Features,
    user_specs: Mapping[str, Spec],
    validation: Examples | None,
    config: TowersConfig,
    *,
    seed: int = 0,
    folder: Path | None = None,
    start_from: Start | None = None,
    context: Features | None = None,
    context_specs: Mapping[str, Spec] | None = None,
    texts: bool = False,
    progress: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train both towers on a log; nothing but the arguments is looked at.

    item_features, user_features: encoded columns of whole tables, one row an item or user row of the log;
    those that a spec names are used. validation: what early stopping looks at; None trains all epochs and
    keeps the last. folder: where a checkpoint is kept; training goes on from one that was made with the same
    arguments, to the last value of every array, and the same versions of funnel and torch, and ends as if it
    had never stopped; one that was made from anything else, or is damaged, is left aside with a warning and
    training starts anew. start_from: earlier towers, with whose weights training
    starts where ids and names match. context: encoded columns of what was known before each event, of the
    whole table of events, in which `events.rows` finds its own; sets know none. texts: whether a text of the
    items is encoded, so that an item without an event can be told from others, and is no negative. on_epoch:
    called after each epoch's checkpoint.

    Raises: DataError when there is nothing to train on or nothing to stop early on, ConfigError for a
    transformer over sets.
    """
    check(events, validation, config)
    tables = item_features, item_specs, user_features, user_specs
    ranks = Ranks()
    trainer = Trainer(events, *tables, validation, config, seed, context, context_specs, texts, ranks, folder)
    run(trainer, start_from, progress, on_epoch)
    return trained_by(trainer, trainer.best().cpu(), trainer.vectors())


def run(
    trainer: Trainer,
    start_from: Start | None,
    progress: bool,
    on_epoch: Callable[[Epoch], None] | None,
) -> None:
    """Train to the end, from the checkpoint in the folder where there is one."""
    devices = range(torch.cuda.device_count())
    shown = TrainingProgress(trainer.config.epochs, shown=progress)
    with torch.random.fork_rng(devices), shown as bar:
        trainer.start(start_from)
        trainer.resume()
        while not trainer.finished:
            epoch = trainer.epoch(bar)
            trainer.checkpoint()
            if on_epoch is not None:
                on_epoch(epoch)


def trained_by(trainer: Trainer, model: TwoTowers, vectors: Tensor) -> Trained:
    """The best of the epochs. model, vectors: of all items."""
    return Trained(
        config=trainer.config,
        clock=trainer.clock,
        item_specs=trainer.item_specs,
        user_specs=trainer.user_specs,
        model=model,
        item_vectors=vectors.cpu().numpy(),
        epochs=tuple(trainer.epochs),
        best=trainer.best_epoch,
        context_specs=trainer.context_specs,
        kinds=trainer.kinds,
    )


def check(events: Log, validation: Examples | None, config: TowersConfig) -> None:
    """Raises: as `train`."""
    if events.clock == "none" and config.encoder == "transformer":
        raise ConfigError(
            'towers.encoder is "transformer", which reads an order, and these events have none: '
            'leave it at "auto", or set "pooled"'
        )
    if len(events) == 0:
        raise DataError("the towers' training log is empty; it needs at least one event")
    if events.kinds is not None and not target_counts(events).any():
        raise DataError(
            "the towers' training log has no event of a kind that is to be found (events.targets)"
        )
    if validation is not None and len(validation) == 0:
        raise DataError("the towers' validation has no requests; early stopping needs at least one")
