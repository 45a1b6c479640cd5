"""One pass after another over the log: steps, averaged weights, validation, checkpoint and resume."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from funnel.features.encoders import Spec
from funnel.features.spectral import spectral_vectors
from funnel.towers.config import TowersConfig
from funnel.towers.inputs import missing
from funnel.towers.training import checkpoint
from funnel.towers.training.batches import Sequences, sequences, steps
from funnel.towers.training.kinds import target_counts
from funnel.towers.training.model import TwoTowers, tensors
from funnel.towers.training.objective import Objective
from funnel.towers.training.progress import TrainingProgress
from funnel.towers.training.smooth import Smoother
from funnel.towers.training.trained import Epoch
from funnel.towers.training.validate import TorchEncoder, ndcg
from funnel.towers.training.warm import Start
from funnel.towers.training.workers import PARTS, workers
from funnel.types import Clock, Examples, Features, Log

log = logging.getLogger(__name__)

#: Early stopping looks at NDCG@100 of at most this many requests: deep enough that few requests give a
#: steady figure.
VALIDATION_K, VALIDATION_REQUESTS = 100, 4_000


class Trainer:
    """What changes during training, and how it is saved."""

    def __init__(
        self,
        events: Log,
        item_features: Features,
        item_specs: Mapping[str, Spec],
        user_features: Features,
        user_specs: Mapping[str, Spec],
        validation: Examples | None,
        config: TowersConfig,
        seed: int,
        context: Features | None = None,
        context_specs: Mapping[str, Spec] | None = None,
        texts: bool = False,
    ) -> None:
        self._events, self._config, self._seed, self._texts = events, config, seed, texts
        self.context_specs = context_specs or {} if events.clock != "none" else {}
        self._context_columns = _with_unknown(context or {}, self.context_specs)
        self.kinds = events.kind_names if events.clock != "none" else ()
        self._item_specs, self._user_specs = item_specs, user_specs
        self._item_columns = tensors(item_features, list(item_specs))
        self._user_columns = tensors(user_features, list(user_specs))
        self._validation = None if validation is None else _sample(validation, VALIDATION_REQUESTS, seed)
        self.epochs: list[Epoch] = []
        self._fingerprint: str | None = None
        self._inputs = (
            config.model_dump_json(), seed, events, [*item_specs.items()], [*user_specs.items()],
            self._item_columns, self._user_columns, self._validation, [*self.context_specs.items()],
            self._context_columns, texts,
        )  # fmt: skip

    def start(self, earlier: Start | None = None) -> None:
        """Fresh weights, or those of earlier towers where they have a place here."""
        self._earlier = earlier
        torch.manual_seed(self._seed)
        counts = np.bincount(self._events.items, minlength=self._events.n_items)
        config, clock = self._config, self._events.clock
        specs = self._item_specs, self._user_specs
        self._model = TwoTowers(config, *specs, counts > 0, clock, self.context_specs, len(self.kinds))
        if clock == "none":
            smoother = Smoother(self._events, config.graph) if config.graph else None
            self._model.items.start_from(spectral_vectors(self._events, config.d, seed=self._seed), smoother)
        if earlier is not None:
            earlier.into(self._model)
        self._averaged = copy.deepcopy(self._model).eval()
        self._best = checkpoint.copy(self._averaged)
        self._objective = Objective(
            config,
            self._model,
            counts,
            self._item_columns,
            self._user_columns,
            clock,
            self._context_columns,
            target_counts(self._events),
            texts=self._texts,
        )
        self._optimiser = _optimiser(self._model, config, clock)
        self._steps = 0

    @property
    def finished(self) -> bool:
        """All epochs done, or `patience` of them without a better validation."""
        done = len(self.epochs)
        return done >= self._config.epochs or done - 1 - self.best_epoch >= self._config.patience

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, the first of equals; without a validation the last one's; where there
        is none yet the coming one's."""
        figures = [e.validation for e in self.epochs if e.validation is not None]
        return int(np.argmax(figures)) if figures else max(0, len(self.epochs) - 1)

    def epoch(self, bar: TrainingProgress) -> Epoch:
        """One pass over the log and its validation."""
        number, began = len(self.epochs), time.perf_counter()
        # Seeded by the epoch's number, so that a resumed run needs no generator's state.
        rng = np.random.default_rng([self._seed, number])
        torch.manual_seed(int(rng.integers(1 << 62)))
        self._objective.seed(rng)
        if number:
            self._objective.negatives.refresh(self.vectors())
        limit = self._config.reads(self._events.clock)
        with workers() as pool:
            loss, positions = self._pass(sequences(self._events, limit, rng), rng, bar, pool)
            seconds = time.perf_counter() - began
            held_out = self._validation
            metric = None if held_out is None else ndcg(self._encoder(), held_out, VALIDATION_K, pool)
        epoch = Epoch(number, loss, metric, positions, seconds)
        self.epochs.append(epoch)
        if self.best_epoch == number:
            self._best = checkpoint.copy(self._averaged)
        bar.epoch(number, loss, metric, self.epochs[self.best_epoch].validation)
        log.info("epoch %d: loss %.4f, validation %s, %.1f s", number, loss, metric, seconds)
        return epoch

    def _pass(
        self, data: Sequences, rng: np.random.Generator, bar: TrainingProgress, pool: Executor
    ) -> tuple[float, int]:
        self._model.train()
        total, positions = 0.0, 0
        for parts in steps(data, self._config.batch_for(self._events.clock), rng, PARTS):
            n = sum(len(part.targets) for part in parts)
            self._optimiser.zero_grad(set_to_none=True)
            loss = self._objective(parts, rng, pool)
            self._optimiser.step()
            self._average()
            total, positions = total + loss * n, positions + n
            bar.step(n, data.positions)
        return total / positions, positions

    @torch.no_grad()
    def _average(self) -> None:
        """Exponential mean of the weights (Polyak & Juditsky 1992), shorter in the first steps."""
        self._steps += 1
        decay = min(self._config.averaging, self._steps / (self._steps + 10))
        for mean, now in zip(self._averaged.parameters(), self._model.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)

    def vectors(self) -> torch.Tensor:
        """All item vectors of the averaged weights: [n_items, d]."""
        return self._averaged.items.catalogue(self._item_columns)

    def _encoder(self) -> TorchEncoder:
        clock = self._events.clock
        limit = self._config.reads(clock)
        specs = self._user_specs, limit, clock, self.context_specs
        return TorchEncoder(self._averaged.query, self.vectors(), *specs)

    def checkpoint(self, folder: Path) -> None:
        """Everything that `resume` needs."""
        meta = {
            "inputs": self._inputs_digest(),
            "steps": self._steps,
            "epochs": [asdict(e) for e in self.epochs],
        }
        states = {
            "model": self._model.state_dict(),
            "averaged": self._averaged.state_dict(),
            "best": self._best,
            "optimiser": checkpoint.optimiser_state(self._optimiser),
            "frequency": self._objective.negatives.frequency.state(),
        }
        try:
            checkpoint.save(folder, states, meta)
        except OSError as error:
            log.warning("no checkpoint could be written to %s (%s); training goes on without", folder, error)

    def resume(self, folder: Path) -> None:
        """Go on from the folder's checkpoint, unless it is of another training or damaged."""
        try:
            kept = checkpoint.load(folder)
        except checkpoint.Damaged as error:
            log.warning("%s holds a damaged checkpoint (%s); training starts anew", folder, error)
            return
        if kept is None:
            return
        states, meta = kept
        if meta.get("inputs") != self._inputs_digest():
            log.warning(
                "%s holds a checkpoint of another training (its config, seed, log, columns, validation, "
                "weights to start from or versions are others); training starts anew",
                folder,
            )
            return
        self._model.load_state_dict(states["model"])
        self._averaged.load_state_dict(states["averaged"])
        checkpoint.restore_optimiser(self._optimiser, states["optimiser"])
        self._objective.negatives.frequency.restore(states.get("frequency", {}))
        self._best, self._steps = states["best"], meta["steps"]
        self.epochs = [Epoch(**e) for e in meta["epochs"]]

    def _inputs_digest(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = checkpoint.inputs_digest(*self._inputs, self._earlier)
        return self._fingerprint

    def best(self) -> TwoTowers:
        """The towers with the best weights, in eval mode."""
        self._averaged.load_state_dict(self._best)
        return self._averaged


def _with_unknown(context: Features, specs: Mapping[str, Spec]) -> list[torch.Tensor]:
    """Columns of all events, and behind them, at −1, a row of what is not known."""
    return [
        torch.from_numpy(np.concatenate([context[name], missing(spec, 1)])) for name, spec in specs.items()
    ]


def _optimiser(model: TwoTowers, config: TowersConfig, clock: Clock) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); weights decay, biases, norms and the temperature do not."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr_for(clock), fused=True)


def _sample(examples: Examples, most: int, seed: int) -> Examples:
    if len(examples) <= most:
        return examples
    rows = np.random.default_rng(seed).choice(len(examples), most, replace=False)
    return examples.take(np.sort(rows))
