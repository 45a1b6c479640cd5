"""Checkpoints of a training, by one process or by each of a group."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from funnel.recipes import KeptFiles
from funnel.towers.training import checkpoint
from funnel.towers.training.digests import inputs_digest
from funnel.towers.training.negatives import Negatives
from funnel.towers.training.optimiser import Optimiser
from funnel.towers.training.ranks import Ranks
from funnel.towers.training.snapshot import Snapshot
from funnel.towers.training.trained import Epoch
from funnel.towers.training.warm import Start

log = logging.getLogger(__name__)

#: Tensors with a row for each item of a process, behind row 0 that all share.
BY_ITEM = {"model": "items.ids", "averaged": "items.ids", "best": "items.ids", "rows": "second"}

#: A file of one of several processes: after how many epochs, whose, of how many.
_FILE = re.compile(r"checkpoint\.(\d+)\.(\d+)-of-(\d+)\.npz")


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What changes in a training."""

    model: nn.Module
    averaged: nn.Module
    best: Snapshot
    optimiser: Optimiser
    negatives: Negatives

    def groups(self) -> dict[str, Mapping[str, Tensor]]:
        """Tensors by name, in groups."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best.state(),
            **self.optimiser.states(),
            "frequency": self.negatives.frequency.state(),
        }

    def restore(self, files: CheckpointFiles, steps: int) -> None:
        """Take up what such files hold, of after so many steps."""
        self.model.load_state_dict(files.group("model"))
        self.averaged.load_state_dict(files.group("averaged"))
        self.best.keep(files.group("best"))
        self.optimiser.restore({name: files.group(name) for name in ("optimiser", "rows")}, steps)
        self.negatives.frequency.restore(files.group("frequency"))


class CheckpointFiles:
    """The checkpoint of one epoch, by as many processes as wrote it, for a process that may be one of others.

    Raises: Damaged when one of the files that this process reads cannot be read whole.
    """

    def __init__(self, kept: KeptFiles, names: list[str], ranks: Ranks) -> None:
        self._ranks, self._number = ranks, len(names)
        # Of as many processes each reads its own; else each needs rows of all.
        here = [names[ranks.rank]] if len(names) == ranks.size else names
        try:
            paths = [kept.get(name) for name in here]
        except OSError as error:
            raise checkpoint.Damaged(str(error)) from error
        self._files = [checkpoint.Checkpoint(path) for path in paths]
        self.meta = self._files[0].meta
        if any(file.meta[name] != self.meta[name] for file in self._files for name in ("inputs", "steps")):
            raise checkpoint.Damaged("its files are not of one training")

    def group(self, name: str) -> dict[str, Tensor]:
        """A named group of tensors, with the rows of this process's items."""
        group = self._files[0].group(name)
        if name in BY_ITEM and self._number != self._ranks.size:
            every = [group, *(file.group(name) for file in self._files[1:])]
            tables = [each[BY_ITEM[name]] for each in every]
            group[BY_ITEM[name]] = resharded(tables, self._ranks.rank, self._ranks.size)
        return group


def resharded(tables: list[Tensor], rank: int, size: int) -> Tensor:
    """The table that process `rank` of `size` has, from those of all processes that there were: row 0, and
    the rows of its items (`Shard`)."""
    n = sum(len(table) - 1 for table in tables)
    out = tables[0].new_empty(1 + len(range(rank, n, size)), *tables[0].shape[1:])
    out[0] = tables[0][0]
    for number, table in enumerate(tables):
        items = torch.arange(number, n, len(tables))
        mine = items % size == rank
        out[1 + items[mine] // size] = table[1:][mine]
    return out


class Saving:
    """Where checkpoints are, and what they belong to.

    kept: None: nowhere. Processes of a group share it; each writes a file of its own, and files of an epoch
    are used once all are there. inputs: all that the training is made from (`inputs_digest`).
    """

    def __init__(self, kept: KeptFiles | None, ranks: Ranks, inputs: list[Any]) -> None:
        self._kept, self._ranks, self._inputs = kept, ranks, inputs
        self._digest: str | None = None

    def belongs_to(self, earlier: Start | None) -> None:
        """What training starts from. Raises: DataError where processes of a group were given other inputs."""
        self._earlier = earlier
        if self._ranks.size > 1:
            self._ranks.same(self._of(), "log, config, columns, validation, seed, start or version of funnel")

    def _of(self) -> str:
        if self._digest is None:
            self._digest = inputs_digest(*self._inputs, self._earlier)
        return self._digest

    def save(self, state: TrainingState, steps: int, epochs: list[Epoch]) -> None:
        """A failure is logged: training goes on without."""
        if self._kept is None:
            return
        meta = {"inputs": self._of(), "steps": steps, "epochs": [asdict(epoch) for epoch in epochs]}
        name, folder = self._name(len(epochs)), self._kept.folder
        try:
            checkpoint.save(folder / name, state.groups(), meta)
            self._kept.keep(name)
            written = True
        except OSError as error:
            log.warning("no checkpoint could be written to %s (%s); training goes on without", folder, error)
            written = False
        if self._ranks.all_true(written) and self._ranks.rank == 0:
            self._remove_older(self._kept, len(epochs))

    def _name(self, epochs: int) -> str:
        if self._ranks.size == 1:
            return checkpoint.NAME
        return f"checkpoint.{epochs}.{self._ranks.rank}-of-{self._ranks.size}.npz"

    def _remove_older(self, kept: KeptFiles, epochs: int) -> None:
        """Once all files of an epoch are there the others are of no use."""
        stay = self._name(epochs) if self._ranks.size == 1 else f"checkpoint.{epochs}."
        for name in kept.names():
            if re.fullmatch(r"checkpoint.*\.npz", name) and not name.startswith(stay):
                kept.remove(name)

    def load(self, state: TrainingState) -> tuple[int, list[Epoch]] | None:
        """Put the newest checkpoint that all processes can go on from into `state`: steps and epochs of it.

        None, and why in the log, where there is none. All processes of a group call it together.
        """
        if self._kept is None:
            return None
        for names in self._sets(self._kept):
            files = self._usable(self._kept, names)
            if self._ranks.all_true(files is not None):
                assert files is not None
                state.restore(files, files.meta["steps"])
                return files.meta["steps"], [Epoch(**epoch) for epoch in files.meta["epochs"]]
        return None

    def _sets(self, kept: KeptFiles) -> list[list[str]]:
        """Whole sets of files, the newest epoch first, as process 0 sees them."""
        by_epoch: dict[tuple[int, int], list[str]] = {}
        there = kept.names() if self._ranks.rank == 0 else []
        for name in there:
            if match := _FILE.fullmatch(name):
                by_epoch.setdefault((int(match[1]), int(match[3])), []).append(name)
        sets = [sorted(names, key=_rank) for key, names in sorted(by_epoch.items()) if len(names) == key[1]]
        alone = [[checkpoint.NAME]] if checkpoint.NAME in there else []
        chosen: list[list[str]] = json.loads(self._ranks.from_first(json.dumps([*reversed(sets), *alone])))
        return chosen

    def _usable(self, kept: KeptFiles, names: list[str]) -> CheckpointFiles | None:
        where = kept.folder / names[0]
        try:
            files = CheckpointFiles(kept, names, self._ranks)
        except checkpoint.Damaged as error:
            log.warning("%s is a damaged checkpoint (%s); training starts anew", where, error)
            return None
        if files.meta.get("inputs") == self._of():
            return files
        log.warning(
            "%s is a checkpoint of another training (its config, seed, log, columns, validation, weights to "
            "start from or versions are others); training starts anew",
            where,
        )
        return None


def _rank(name: str) -> int:
    match = _FILE.fullmatch(name)
    assert match is not None
    return int(match[2])
