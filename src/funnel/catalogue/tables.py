"""The two tables that an answer needs: the catalogue of items, and the users with their histories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.catalogue.columns import FilterColumn, read_frame, write_frame
from funnel.catalogue.where import Bitmap, Filters, Where
from funnel.data import Vocabulary
from funnel.errors import BundleError
from funnel.features import Spec, TableEncoder
from funnel.types import Features, Int32, Ragged
from funnel.values.arrays import check_offsets, check_rows, mapped
from funnel.values.texts import save_ids


class Ids(Protocol):
    """The ids of a catalogue: a `Vocabulary`, or one that has grown."""

    @property
    def values(self) -> Any:
        """The id of each row: NumPy's array, or `Texts`."""

    def __len__(self) -> int: ...

    def row(self, value: Any) -> int:
        """The row of one id, −1 where unknown."""

    def rows(self, values: Any) -> Int32:
        """The rows of many ids, −1 where unknown."""

    def take(self, rows: NDArray[Any]) -> list[Any]:
        """The ids of some rows, as plain values."""


@dataclass(frozen=True)
class Catalogue:
    """Every item that may be returned: ids, raw columns for filters and display, encoded columns.

    frame: one row an item, in the order of ids. features: encoded, first dimension n_items. encoder: what
    encoded them; None in a bundle of an older funnel.
    """

    ids: Ids
    frame: pd.DataFrame
    features: Features
    encoder: TableEncoder | None = None

    def save(self, folder: Path) -> None:
        """ids.npy, columns.arrow, features/*.npy, encoder/, filters/*."""
        folder.mkdir(parents=True)
        save_ids(folder / "ids.npy", self.ids.values)
        write_frame(self.frame, folder / "columns.arrow")
        save_features(self.features, folder / "features")
        if self.encoder is not None:
            self.encoder.save(folder / "encoder")
        self.filters.save(folder / "filters")

    @classmethod
    def load(cls, folder: Path, specs: Mapping[str, Spec] | None = None) -> Catalogue:
        """What `save` wrote, memory-mapped. specs: the forms of the encoded columns that the towers read;
        default those of the encoder that is there.

        Raises: BundleError when a part is missing, or its numbers are none of such a table.
        """
        ids, frame = Vocabulary.load(folder / "ids.npy"), read_frame(folder / "columns.arrow")
        if len(frame) != len(ids):
            raise BundleError(
                f"{folder / 'columns.arrow'}: has {len(frame)} rows, there are {len(ids)} ids; "
                "build the bundle again"
            )
        encoder = TableEncoder.load(folder / "encoder") if (folder / "encoder").is_dir() else None
        specs = specs if specs is not None else {} if encoder is None else encoder.specs
        if encoder is not None:
            check_specs(encoder.specs, specs, folder / "encoder")
        loaded = cls(ids, frame, load_features(folder / "features", specs, len(ids)), encoder)
        loaded.__dict__["filters"] = Filters.load(folder / "filters", len(ids))  # in place of laying them out
        return loaded

    def title(self, item_id: Any) -> str:
        """What to call an item: its `title` or `name` where it has one, its id otherwise."""
        row = self.ids.row(item_id)
        columns = self.records(np.array([row]))[0] if row >= 0 else {}
        titles = (columns.get(column) for column in ("title", "name"))
        return next((title for title in titles if isinstance(title, str)), str(item_id))

    def living(self, batch: int) -> Allow | None:
        """What may be returned to requests without a filter; None where that is every item."""
        return None

    def allow(self, *wheres: Where) -> Allow:
        """Which items may be returned for one request a filter; see `funnel.catalogue.where`.

        Raises: ConfigError for a filter on an unknown column, naming those there are, or on values or bounds
        that the column cannot have.
        """
        bits = np.stack([self.compile(where) for where in wheres])
        return Allow(bits, np.arange(len(wheres), dtype=np.int32), len(self.ids))

    def compile(self, where: Where) -> Bitmap:
        """The items that pass a filter, as a bitmap; see `Filters.compile`."""
        return self.filters.compile(where)

    def records(self, rows: NDArray[Any], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Columns of some items, a plain dict each; pandas' own way takes several times as long.

        names: of columns that there are; default all but vectors.
        """
        wanted = self.displayed if names is None else names
        if not wanted:
            return [{} for _ in rows]
        at = pa.array(rows)
        columns = [
            values[rows].tolist() if isinstance(values, np.ndarray) else values.take(at).to_pylist()
            for values in (self.values[name] for name in wanted)
        ]
        return [dict(zip(wanted, one, strict=True)) for one in zip(*columns, strict=True)]

    @property
    def layout(self) -> Mapping[str, FilterColumn]:
        """The bundle's columns as they are laid out for filters, by name."""
        return self.filters.columns

    @property
    def n_laid_out(self) -> int:
        """Rows that `layout` is of."""
        return len(self.frame)

    @property
    def changes(self) -> int:
        """Another number whenever an item was changed while it serves."""
        return 0

    def changed_since(self, changes: int) -> Int32:
        """Rows of items that were changed behind that number, maybe more than once."""
        return np.empty(0, dtype=np.int32)

    def values_of(self, name: str, rows: Int32) -> list[Any]:
        """Some items' values of one column."""
        values = self.values[name]
        found = values[rows] if isinstance(values, np.ndarray) else values.take(pa.array(rows))
        return found.tolist() if isinstance(found, np.ndarray) else found.to_pylist()

    @property
    def names(self) -> list[str]:
        """Of all columns."""
        return list(map(str, self.frame.columns))

    @cached_property
    def displayed(self) -> tuple[str, ...]:
        """The names of all columns but vectors, which nobody reads."""
        specs = {} if self.encoder is None else self.encoder.specs
        return tuple(name for name in self.values if name not in specs or specs[name].kind != "vector")

    @cached_property
    def values(self) -> dict[str, Any]:
        """Columns of numbers as NumPy's arrays, others as Arrow's, each in one piece: of several, Arrow makes
        one at each call.
        """
        return {
            str(name): column.to_numpy() if _of_numpy(column) else _in_one_piece(column)
            for name, column in self.frame.items()
        }

    @cached_property
    def filters(self) -> Filters:
        """The columns laid out for filters."""
        return Filters.of(self.frame)


def _of_numpy(column: pd.Series[Any]) -> bool:
    return isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"


def _in_one_piece(column: pd.Series[Any]) -> Any:
    made = pa.array(column, from_pandas=True)
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


@dataclass(frozen=True)
class Users:
    """Everyone the bundle knows: ids, encoded columns, and what each met, oldest first."""

    ids: Ids
    encoder: TableEncoder
    features: Features
    history: Ragged
    history_times: Ragged

    def save(self, folder: Path) -> None:
        """ids.npy, encoder/, features/*.npy, history_*.npy."""
        folder.mkdir(parents=True)
        save_ids(folder / "ids.npy", self.ids.values)
        self.encoder.save(folder / "encoder")
        save_features(self.features, folder / "features")
        np.save(folder / "history_items.npy", self.history.values)
        np.save(folder / "history_times.npy", self.history_times.values)
        np.save(folder / "history_offsets.npy", self.history.offsets)

    @classmethod
    def load(cls, folder: Path, specs: Mapping[str, Spec], n_items: int) -> Users:
        """What `save` wrote, arrays memory-mapped. specs: the forms of the encoded columns.

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
        return cls(ids, encoder, features, Ragged(items, offsets), Ragged(times, offsets))

    def features_of(self, rows: Sequence[int], given: Sequence[Mapping[str, Any] | None]) -> Features:
        """Encoded columns of known rows; what is given for a request wins; −1 with nothing is unknown."""
        columns = list(self.encoder.specs)
        if not columns:
            return {}
        known = np.asarray(rows, dtype=np.int64)
        if not any(given):
            found = {name: np.asarray(values[known]) for name, values in self.features.items()}
            if (nobody := known < 0).any():
                for name, values in found.items():
                    values[nobody] = self._nobody[name][0]
            return found
        frame = pd.DataFrame([dict(fields or {}) for fields in given], columns=columns, dtype=object)
        encoded = {name: np.array(values) for name, values in self.encoder.encode(frame).items()}
        for name, values in encoded.items():
            stored = [i for i, row in enumerate(rows) if row >= 0 and name not in (given[i] or {})]
            values[stored] = self.features[name][known[stored]]
        return encoded

    @cached_property
    def _nobody(self) -> Features:
        """What is known of a user never seen: every column missing, one row."""
        return self.encoder.encode(pd.DataFrame([{}], columns=list(self.encoder.specs)))


def save_features(features: Features, folder: Path) -> None:
    """columns.json, and one .npy a column, numbered as listed there: a column may have any name."""
    folder.mkdir(parents=True)
    (folder / "columns.json").write_text(json.dumps(list(features)))
    for number, values in enumerate(features.values()):
        np.save(folder / f"{number}.npy", values)


def load_features(folder: Path, specs: Mapping[str, Spec], n: int) -> Features:
    """What `save_features` wrote, memory-mapped: encoded columns of these forms, of n rows.

    Raises: BundleError when a column is missing, unknown, or not of its form.
    """
    path = folder / "columns.json"
    try:
        names = json.loads(path.read_text())
        found = {name: folder / f"{number}.npy" for number, name in enumerate(names)}
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
    if set(found) != set(specs):
        raise BundleError(f"{path}: columns {sorted(found)}; the towers read {sorted(specs)}")
    return {name: _column(path, specs[name], n) for name, path in found.items()}


def _column(path: Path, spec: Spec, n: int) -> NDArray[Any]:
    if spec.kind in ("number", "vector"):
        return mapped(path, "float32", n, spec.width)
    codes = mapped(path, "int32", *((n,) if spec.kind == "category" else (n, spec.width)))
    check_rows(codes, spec.size, path)
    return codes


def check_specs(found: Mapping[str, Spec], specs: Mapping[str, Spec], folder: Path) -> None:
    """Raises: BundleError when an encoder makes columns of other forms than the towers read."""
    for name in sorted({*found, *specs}):
        if found.get(name) != specs.get(name):
            raise BundleError(
                f"{folder}: column {name!r} is encoded as {found.get(name)}, "
                f"the towers read {specs.get(name)}; build the bundle again"
            )
