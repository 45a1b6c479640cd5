"""One pass after another over the log: steps, averaged weights, validation, checkpoint and resume."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import torch

from funnel.features.encoders import Spec
from funnel.features.spectral import spectral_vectors
from funnel.recipes import KeptFiles
from funnel.towers.config import TowersConfig
from funnel.towers.inputs import missing
from funnel.towers.training.batches import Sequences, sequences
from funnel.towers.training.devices import Device, ahead
from funnel.towers.training.held_out import VALIDATION_REQUESTS, HeldOut
from funnel.towers.training.kinds import target_counts
from funnel.towers.training.model import TwoTowers, tensors
from funnel.towers.training.objective import Objective
from funnel.towers.training.optimiser import Optimiser
from funnel.towers.training.progress import TrainingProgress
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.saving import Saving, TrainingState
from funnel.towers.training.smooth import Smoother
from funnel.towers.training.snapshot import Snapshot
from funnel.towers.training.steps import TrainingStep, steps
from funnel.towers.training.trained import Epoch, diverged
from funnel.towers.training.warm import Start
from funnel.towers.training.workers import PARTS, workers
from funnel.types import Examples, Features, Log

log = logging.getLogger(__name__)


class Trainer:
    """What changes during training, and how it is saved. ranks: the processes that train together."""

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
        ranks: Ranks | None = None,
        folder: Path | KeptFiles | None = None,
    ) -> None:
        self._events, self._seed, self._texts = events, seed, texts
        self.config, self.clock = config, events.clock
        self._ranks, self._device = ranks or Ranks(), Device.named(config.device)
        self.context_specs = context_specs or {} if events.clock != "none" else {}
        self.kinds = events.kind_names if events.clock != "none" else ()
        self.item_specs, self.user_specs = item_specs, user_specs
        mine = self._ranks.shard.rows(events.n_items)
        here = {name: item_features[name][mine] for name in item_specs}
        columns = tensors(here, list(item_specs)), tensors(user_features, list(user_specs))
        self._item_columns, self._user_columns = (list(map(self._there, some)) for some in columns)
        self._context_columns = list(map(self._there, _with_unknown(context or {}, self.context_specs)))
        sample = None if validation is None else _sample(validation, VALIDATION_REQUESTS, seed)
        self._held_out = self._held_out_of(sample)
        self.epochs: list[Epoch] = []
        every = [item_features[name] for name in item_specs]
        digest = [
            config.model_dump_json(), seed, events, [*item_specs.items()], [*user_specs.items()], every,
            self._user_columns, sample, [*self.context_specs.items()], self._context_columns, texts,
        ]  # fmt: skip
        kept = KeptFiles(folder) if isinstance(folder, Path) else folder
        self._saving = Saving(kept, self._ranks, digest)
        self._best = Snapshot(None if kept is None else kept.folder)

    def _there(self, column: torch.Tensor) -> torch.Tensor:
        return column.to(self._device.device)

    def _held_out_of(self, examples: Examples | None) -> HeldOut | None:
        if examples is None:
            return None
        events, limit = self._events, self.config.reads(self.clock)
        specs = dict(self.user_specs), dict(self.context_specs), limit, events.clock
        return HeldOut(examples, events.n_items, *specs, self._ranks)

    def start(self, earlier: Start | None = None) -> None:
        """Fresh weights, or those of earlier towers where they have a place here."""
        torch.manual_seed(self._seed)
        counts = np.bincount(self._events.items, minlength=self._events.n_items)
        model = self._fresh(counts > 0)
        if earlier is not None:
            earlier.into(model, self._ranks.shard)
        self._model = model.to(self._device.device)
        self._averaged = copy.deepcopy(self._model).eval()
        self._objective = Objective(
            self.config,
            self._model,
            counts,
            self._item_columns,
            self._user_columns,
            self.clock,
            self._context_columns,
            target_counts(self._events),
            texts=self._texts,
            device=self._device,
            ranks=self._ranks,
        )
        whole = self._objective.whole
        self._optimiser = Optimiser(self._model, self._averaged, self.config, whole=whole)
        self._saving.belongs_to(earlier)

    def _fresh(self, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> TwoTowers:
        """Towers at the start; those of sets start from the log's spectrum."""
        config, log, shard = self.config, self._events, self._ranks.shard
        specs = self.item_specs, self.user_specs
        model = TwoTowers(config, *specs, seen, log.clock, self.context_specs, len(self.kinds), shard)
        if log.clock == "none":
            vectors = spectral_vectors(log, config.d, seed=self._seed)[shard.rows(log.n_items)]
            smoother = Smoother(log, config.graph, self._device.device) if config.graph else None
            model.items.start_from(vectors, smoother)
        return model

    @property
    def finished(self) -> bool:
        """All epochs done, or `patience` of them without a better validation."""
        done = len(self.epochs)
        return done >= self.config.epochs or done - 1 - self.best_epoch >= self.config.patience

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, the first of equals; without a validation the last one's; where there
        is none yet the coming one's."""
        figures = [e.validation for e in self.epochs if e.validation is not None]
        return int(np.argmax(figures)) if figures else max(0, len(self.epochs) - 1)

    def epoch(self, bar: TrainingProgress) -> Epoch:
        """One pass over the log and its validation. Raises: FunnelError where training diverges."""
        number, began = len(self.epochs), time.perf_counter()
        # Seeded by the epoch's number, so that a resumed run needs no generator's state.
        rng = np.random.default_rng([self._seed, number])
        cutting, drawing, dropping, near = rng.spawn(4)
        torch.manual_seed(int(rng.integers(1 << 62)) + self._ranks.rank)
        self._objective.seed(dropping)
        if number and self._objective.negatives.hard:
            self._objective.negatives.refresh(self.vectors(), near)
        limit = self.config.reads(self.clock)
        with workers() as pool:
            loss, positions = self._pass(sequences(self._events, limit, rng), cutting, drawing, bar, pool)
            seconds = time.perf_counter() - began
            metric = self._validation(pool)
        epoch = Epoch(number, loss, metric, positions, seconds)
        self.epochs.append(epoch)
        if self.best_epoch == number:
            self._best.keep(self._averaged.state_dict())
        bar.epoch(number, loss, metric, self.epochs[self.best_epoch].validation)
        seen = "" if metric is None else f" NDCG@100 {metric:.4f},"
        log.info("epoch %d: loss %.4f,%s %.1f s", number, loss, seen, seconds)
        return epoch

    def _validation(self, pool: Executor) -> float | None:
        if self._held_out is None:
            return None
        return self._held_out.measure(self._averaged, self._item_columns, pool)

    def _pass(
        self,
        data: Sequences,
        cutting: np.random.Generator,
        drawing: np.random.Generator,
        bar: TrainingProgress,
        pool: Executor,
    ) -> tuple[float, int]:
        """cutting, drawing: of sequences into steps, and of negatives: the former may run ahead."""
        self._model.train()
        total, positions = 0.0, 0
        for step in self._steps(data, cutting):
            n = len(step.targets)
            self._optimiser.zero()
            loss, touched = self._objective(step, drawing, pool)
            if not math.isfinite(loss):
                raise diverged(self.config, f"in epoch {len(self.epochs)} the loss is")
            self._optimiser.step(touched)
            total, positions = total + loss * n, positions + n
            bar.step(n, data.positions)
        self._optimiser.settle()
        finite = all(bool(weights.isfinite().all()) for weights in self._averaged.parameters())
        if not self._ranks.all_true(finite):
            raise diverged(self.config, f"after epoch {len(self.epochs)} weights are")
        return total / positions, positions

    def _steps(self, data: Sequences, rng: np.random.Generator) -> Iterator[TrainingStep]:
        """The parts of this process; on a GPU the next step is made meanwhile."""
        batch = self.config.batch_for(self.clock)
        size, rank = self._ranks.size, self._ranks.rank
        coming = steps(data, batch, rng, max(PARTS, size), slice(rank, None, size))
        return coming if self._device.is_cpu else ahead(coming, self._device.pinned)

    def vectors(self) -> torch.Tensor:
        """The averaged weights' vectors of all items of this process: [n, d]."""
        return self._averaged.items.catalogue(self._item_columns).whole()

    def checkpoint(self) -> None:
        """Everything that `resume` needs."""
        self._saving.save(self._state(), self._optimiser.steps, self.epochs)

    def resume(self) -> None:
        """Go on from the folder's checkpoint, unless it is of another training or damaged."""
        kept = self._saving.load(self._state())
        if kept is not None:
            self._optimiser.steps, self.epochs = kept

    def _state(self) -> TrainingState:
        """What a checkpoint holds, by reference."""
        return TrainingState(
            self._model, self._averaged, self._best, self._optimiser, self._objective.negatives
        )

    def best(self) -> TwoTowers:
        """The towers with the best weights, in eval mode, of this process's items. Nothing is trained after
        it: the weights of the last step are let go."""
        del self._model, self._objective, self._optimiser
        self._averaged.load_state_dict(self._best.state())
        return self._averaged


def _with_unknown(context: Features, specs: Mapping[str, Spec]) -> list[torch.Tensor]:
    """Columns of all events, and behind them, at −1, a row of what is not known."""
    return [
        torch.from_numpy(np.concatenate([context[name], missing(spec, 1)])) for name, spec in specs.items()
    ]


def _sample(examples: Examples, most: int, seed: int) -> Examples:
    if len(examples) <= most:
        return examples
    rows = np.random.default_rng(seed).choice(len(examples), most, replace=False)
    return examples.take(np.sort(rows))
