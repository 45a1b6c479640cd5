"""The catalogue: every item that may be returned, with its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.catalogue.columns import FilterColumn
from funnel.catalogue.encoded import check_specs, load_features, save_features
from funnel.catalogue.frames import read_frame, write_frame
from funnel.catalogue.ids import Ids
from funnel.catalogue.numbers import NumberColumn
from funnel.catalogue.text_column import TextColumn, TextLists
from funnel.catalogue.where import Bitmap, Filters, Where
from funnel.data import Vocabulary
from funnel.errors import BundleError
from funnel.features import Spec, TableEncoder
from funnel.types import Features, Int32
from funnel.values.texts import save_ids


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
        loaded.__dict__["filters"] = Filters.load(
            folder / "filters", len(ids)
        )  # saved, so that they need not be laid out again
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
        columns = [self._readers[name](rows) for name in wanted]
        return [dict(zip(wanted, values_of_row, strict=True)) for values_of_row in zip(*columns, strict=True)]

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

    def values_of(self, name: str, rows: NDArray[Any]) -> list[Any]:
        """Some items' values of one column."""
        return self._readers[name](rows)

    def numbers(self, name: str) -> NumberColumn:
        """A column of numbers by row: laid out once, for all who ask."""
        if (column := self._number_columns.get(name)) is None:
            column = self._number_columns.setdefault(name, NumberColumn(self, name))
        return column

    @cached_property
    def _number_columns(self) -> dict[str, NumberColumn]:
        return {}

    @cached_property
    def names(self) -> list[str]:
        """Of all columns."""
        return list(map(str, self.frame.columns))

    @cached_property
    def displayed(self) -> tuple[str, ...]:
        """The names of all columns but vectors, which are not for display."""
        specs = {} if self.encoder is None else self.encoder.specs
        return tuple(name for name in self.values if name not in specs or specs[name].kind != "vector")

    @cached_property
    def values(self) -> dict[str, Any]:
        """Columns of numbers as NumPy's arrays, of texts as `TextColumn`, of lists of texts as
        `TextLists`, others as Arrow's, each in one piece: of several, Arrow makes one at each call.
        """
        return {
            str(name): column.to_numpy() if _of_numpy(column) else _in_one_piece(column)
            for name, column in self.frame.items()
        }

    @cached_property
    def _readers(self) -> dict[str, Callable[[NDArray[Any]], list[Any]]]:
        """What gives a column's values of some rows, by the column's name."""
        return {name: _reader(values) for name, values in self.values.items()}

    @cached_property
    def filters(self) -> Filters:
        """The columns laid out for filters."""
        return Filters.of(self.frame)


def _reader(values: Any) -> Callable[[NDArray[Any]], list[Any]]:
    if isinstance(values, TextColumn | TextLists):
        return values.at
    if isinstance(values, np.ndarray):
        return lambda rows: values[rows].tolist()
    return lambda rows: values.take(pa.array(rows)).to_pylist()


def _of_numpy(column: pd.Series[Any]) -> bool:
    return isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"


def _in_one_piece(column: pd.Series[Any]) -> Any:
    array = pa.array(column, from_pandas=True)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    own = next((kind for kind in (TextColumn, TextLists) if kind.can_read(array)), None)
    return array if own is None else own(array)
