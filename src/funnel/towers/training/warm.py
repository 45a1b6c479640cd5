"""Training that starts from an earlier version: its weights for the items and columns of now, by name."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from funnel.data import Vocabulary
from funnel.errors import BundleError, ConfigError
from funnel.features import ContextEncoder, TableEncoder
from funnel.towers.encoder import read_specs
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.ranks import Shard
from funnel.towers.training.trained import Trained
from funnel.towers.training.weights import ABOUT, load_weights
from funnel.types import Int64

log = logging.getLogger(__name__)

#: What stands beside the weights, so that another vocabulary finds its place in them.
IDS, ITEMS, USERS, CONTEXT = "item_ids.npy", "items", "users", "context"

_PREFIX = {
    ITEMS: "items.columns.tables.",
    USERS: "query.user.tables.",
    CONTEXT: "query.context.tables.",
}

#: Weights with a row for each kind of event.
_OF_KINDS = ("query.kinds", "query.kind_scale")


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    state: of the earlier towers. ids: int64 [n_items], for each item of now the row of its embedding there;
    0, which the unseen share, for one that is new. values: for each table's column of codes, by name, the row
    there of each row of now, 0 for a new value; a column that is not named has the same values. columns:
    names of the earlier and of the present columns. kinds: for each kind of event of now, behind the unknown
    one, its row there, 0 for a new one; None where they are the same.
    """

    version: str
    state: Mapping[str, Tensor]
    ids: Int64
    values: Mapping[str, Mapping[str, Int64]]
    columns: Mapping[str, tuple[list[str], list[str]]]
    kinds: Int64 | None = None

    @classmethod
    def load(
        cls,
        folder: Path,
        version: str,
        item_ids: NDArray[Any],
        items: TableEncoder,
        users: TableEncoder,
        context: ContextEncoder | None = None,
        kinds: tuple[str, ...] = (),
    ) -> Start:
        """From a folder with weights, ids and encoders, for these items and encoded columns.

        Raises: BundleError when the folder lacks a part or is damaged.
        """
        try:
            state, seen = load_weights(folder)
            about = json.loads((folder / ABOUT).read_text())
            rows = Vocabulary.load(folder / IDS).rows(item_ids).astype(np.int64)
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(
                f"{version} cannot be started from: {folder} has no weights that can be read ({error}); "
                "towers that an earlier funnel trained have none"
            ) from error
        known = (rows >= 0) & np.append(seen, False)[rows]
        before = {ITEMS: TableEncoder.load(folder / ITEMS), USERS: TableEncoder.load(folder / USERS)}
        now = {ITEMS: items, USERS: users}
        names = {
            ITEMS: list(read_specs(about["item_specs"])),
            USERS: list(read_specs(about["user_specs"])),
        }
        values = {table: _values(before[table], now[table]) for table in now}
        columns = {table: (names[table], list(now[table].specs)) for table in now}
        if context is not None:
            earlier = ContextEncoder.load(folder / CONTEXT)
            values[CONTEXT] = {} if earlier is None else _values(earlier, context)
            columns[CONTEXT] = list(read_specs(about.get("context_specs", {}))), list(context.tower_specs)
        had = {name: row for row, name in enumerate(about.get("kinds", ()), start=1)}
        of_kinds = np.array([0, *(had.get(name, 0) for name in kinds)], dtype=np.int64)
        return cls(version, state, np.where(known, rows + 1, 0), values, columns, of_kinds)

    @classmethod
    def of(cls, trained: Trained) -> Start:
        """From towers of the same items and columns, as they are."""
        rows = trained.model.items.rows.numpy()
        columns = {
            ITEMS: list(trained.item_specs),
            USERS: list(trained.user_specs),
            CONTEXT: list(trained.context_specs),
        }
        return cls(
            "the first training",
            trained.model.state_dict(),
            rows,
            {table: {} for table in columns},
            {table: (names, names) for table, names in columns.items()},
        )

    @torch.no_grad()
    def into(self, model: TwoTowers, shard: Shard | None = None) -> None:
        """Give a fresh model every weight that has the same name and shape; the others stay fresh. shard: the
        items that the model is of, default all.

        Raises: ConfigError when the vectors are of another length.
        """
        d, wanted = self.state["items.ids"].shape[1], model.items.ids.shape[1]
        if d != wanted:
            raise ConfigError(
                f"{self.version} has vectors of {d} numbers and towers.d is {wanted}: train from the start, "
                f"or set towers.d = {d}"
            )
        for name, weight in model.named_parameters():
            earlier = self._weight(name, (shard or Shard()).rows(len(self.ids)))
            if earlier is None or earlier.shape != weight.shape:
                log.info("%s is not in %s in this shape: it starts fresh", name, self.version)
            else:
                weight.copy_(earlier)

    def _weight(self, name: str, items: slice) -> Tensor | None:
        if name == "items.ids":
            ids = self.state[name]
            return torch.cat([ids[:1], ids[torch.from_numpy(self.ids[items])]])
        if name in _OF_KINDS and self.kinds is not None:
            weight = self.state.get(name)
            return None if weight is None else weight[torch.from_numpy(self.kinds)]
        for table, prefix in _PREFIX.items():
            if name.startswith(prefix):
                return self._column(table, prefix, int(name.removeprefix(prefix)))
        return self.state.get(name)

    def _column(self, table: str, prefix: str, number: int) -> Tensor | None:
        before, now = self.columns[table]
        column = now[number]
        if column not in before:
            return None
        weight = self.state.get(f"{prefix}{before.index(column)}")
        rows = self.values[table].get(column)
        if weight is None or rows is None or len(rows) == 0:
            return weight
        return weight[torch.from_numpy(rows)] if rows.max() < len(weight) else None


def _values(before: TableEncoder | ContextEncoder, now: TableEncoder | ContextEncoder) -> dict[str, Int64]:
    """For each column of codes, the earlier code of each code of now: 0, unknown, for a new value."""
    codes_before: dict[str, Int64] = {}
    for name, spec in now.specs.items():
        earlier = before.specs.get(name)
        if earlier is not None and spec.kind == earlier.kind and spec.kind.endswith("category"):
            codes = {value: code for code, value in enumerate(before.values(name), start=1)}
            codes_before[name] = np.array([0, *(codes.get(v, 0) for v in now.values(name))], dtype=np.int64)
    return codes_before
