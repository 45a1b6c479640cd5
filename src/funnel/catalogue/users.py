"""The users of a bundle, with their histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from funnel.catalogue.encoded import check_specs, load_features, save_features
from funnel.catalogue.ids import Ids
from funnel.data import Vocabulary
from funnel.features import Spec, TableEncoder
from funnel.types import Features, Ragged
from funnel.values.arrays import check_offsets, check_rows, check_within, mapped
from funnel.values.texts import save_ids


@dataclass(frozen=True)
class Users:
    """The users of a bundle: ids, encoded columns, and the history of each, oldest first.

    history_kinds: int8, the kind of each event of a history, which then has those of all kinds; None where
    events are of one kind.
    """

    ids: Ids
    encoder: TableEncoder
    features: Features
    history: Ragged
    history_times: Ragged
    history_kinds: Ragged | None = None

    def save(self, folder: Path) -> None:
        """ids.npy, encoder/, features/*.npy, history_*.npy."""
        folder.mkdir(parents=True)
        save_ids(folder / "ids.npy", self.ids.values)
        self.encoder.save(folder / "encoder")
        save_features(self.features, folder / "features")
        np.save(folder / "history_items.npy", self.history.values)
        np.save(folder / "history_times.npy", self.history_times.values)
        np.save(folder / "history_offsets.npy", self.history.offsets)
        if self.history_kinds is not None:
            np.save(folder / "history_kinds.npy", self.history_kinds.values)

    @classmethod
    def load(cls, folder: Path, specs: Mapping[str, Spec], n_items: int, n_kinds: int = 0) -> Users:
        """What `save` wrote, arrays memory-mapped. specs: the forms of the encoded columns. n_kinds: kinds
        of events; 0 where they are of one.

        Raises: BundleError when a part is missing, or its numbers are none of such a table.
        """
        ids, encoder = Vocabulary.load(folder / "ids.npy"), TableEncoder.load(folder / "encoder")
        check_specs(encoder.specs, specs, folder / "encoder")
        items = mapped(folder / "history_items.npy", "int32", None)
        times = mapped(folder / "history_times.npy", "int64", len(items))
        offsets = mapped(folder / "history_offsets.npy", "int64", len(ids) + 1)
        check_rows(items, n_items, folder / "history_items.npy")
        check_offsets(offsets, len(items), folder / "history_offsets.npy")
        features = load_features(folder / "features", specs, len(ids))
        kinds = None
        if n_kinds:
            codes = mapped(folder / "history_kinds.npy", "int8", len(items))
            check_within(codes, 0, n_kinds - 1, folder / "history_kinds.npy")
            kinds = Ragged(codes, offsets)
        return cls(ids, encoder, features, Ragged(items, offsets), Ragged(times, offsets), kinds)

    def features_of(self, rows: Sequence[int], given: Sequence[Mapping[str, Any] | None]) -> Features:
        """Encoded columns of users by row, one row a request; −1 is a user that the bundle does not have.

        given: columns that come with each request; they replace the stored ones.
        """
        columns = list(self.encoder.specs)
        if not columns:
            return {}
        known_rows = np.asarray(rows, dtype=np.int64)
        if not any(given):
            stored_columns = {name: np.asarray(values[known_rows]) for name, values in self.features.items()}
            if min(rows, default=0) < 0:
                nobody = known_rows < 0
                for name, values in stored_columns.items():
                    values[nobody] = self._nobody[name][0]
            return stored_columns
        frame = pd.DataFrame([dict(fields or {}) for fields in given], columns=columns, dtype=object)
        encoded = {name: np.array(values) for name, values in self.encoder.encode(frame).items()}
        for name, values in encoded.items():
            stored = [i for i, row in enumerate(rows) if row >= 0 and name not in (given[i] or {})]
            values[stored] = self.features[name][known_rows[stored]]
        return encoded

    @cached_property
    def _nobody(self) -> Features:
        """The encoded columns of a user without any: every column missing, one row."""
        return self.encoder.encode(pd.DataFrame([{}], columns=list(self.encoder.specs)))
