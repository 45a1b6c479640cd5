"""Encoders of tables: one a column, fitted on the training window only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.features.categories import BooleanEncoder, CategoryEncoder, ListEncoder
from funnel.features.numeric import NumberEncoder, VectorEncoder
from funnel.features.spec import Spec
from funnel.features.text.column import TextEncoder
from funnel.types import Features
from funnel.values.texts import load_ids, save_ids

if TYPE_CHECKING:
    from funnel.data import Column

__all__ = ["Spec", "TableEncoder"]


class ColumnEncoder(Protocol):
    """An encoder of one column, fitted on some values."""

    @property
    def spec(self) -> Spec:
        """The form of what `encode` returns."""

    def encode(self, values: Sequence[Any]) -> NDArray[Any]:
        """The values as an array. Missing, infinite and unseen values are encoded too."""


_ENCODERS: dict[str, type[CategoryEncoder | ListEncoder | NumberEncoder | VectorEncoder | TextEncoder]] = {
    "category": CategoryEncoder,
    "boolean": BooleanEncoder,
    "list": ListEncoder,
    "number": NumberEncoder,
    "vector": VectorEncoder,
    "encoded_text": TextEncoder,
}


class TableEncoder:
    """Encodes the declared columns of a table; see `Spec` for the forms.

    Missing, infinite and never seen values are normal input, and so is a table that lacks a column: all of
    its values are missing. Columns that were not declared are left out.
    """

    def __init__(self, columns: dict[str, ColumnEncoder]) -> None:
        self._columns = columns

    @classmethod
    def fit(cls, columns: Sequence[Column], frame: pd.DataFrame) -> TableEncoder:
        """Learn codes, means and widths from the rows given: those that the training window knows.

        Raises DataError for a vector column whose size is neither declared nor to be seen, FunnelError for a
        text's encoder that is not installed.
        """
        return cls({column.name: _fit(column, _values(frame, column.name)) for column in columns})

    @cached_property
    def specs(self) -> dict[str, Spec]:
        """The form of each encoded column, in the order of the schema."""
        return {name: encoder.spec for name, encoder in self._columns.items()}

    def values(self, name: str) -> list[str]:
        """What the codes of a column stand for, from code 1; empty for one that has no codes."""
        return list(getattr(self._columns[name], "values", ()))

    @property
    def texts(self) -> dict[str, str]:
        """The model, with its version, of each column whose texts are encoded by one."""
        encoded = {
            name: encoder for name, encoder in self._columns.items() if isinstance(encoder, TextEncoder)
        }
        return {name: f"{encoder.model} {encoder.version}" for name, encoder in encoded.items()}

    def check(self) -> None:
        """Raises: FunnelError where a new row could not be encoded here, since a text's model is not
        installed."""
        for encoder in self._columns.values():
            if isinstance(encoder, TextEncoder):
                encoder.check()

    def encode(self, frame: pd.DataFrame) -> Features:
        """One array a column, first dimension len(frame)."""
        return {name: encoder.encode(_values(frame, name)) for name, encoder in self._columns.items()}

    def encode_column(self, name: str, values: Sequence[Any]) -> NDArray[Any]:
        """Values of one column, first dimension len(values)."""
        return self._columns[name].encode(values)

    def save(self, folder: Path) -> None:
        """Write `encoder.json`, and the values of each column that has codes by `save_texts`."""
        folder.mkdir(parents=True, exist_ok=True)
        state = []
        for number, (name, encoder) in enumerate(self._columns.items()):
            kind, fields = _state(encoder)
            if "values" in fields:
                save_ids(folder / f"{number}.npy", fields.pop("values"))
            state.append([name, kind, fields])
        (folder / "encoder.json").write_text(json.dumps(state))

    @classmethod
    def load(cls, folder: Path) -> TableEncoder:
        """What `save` wrote. Raises BundleError when a part is missing or damaged."""
        path = folder / "encoder.json"
        try:
            columns: dict[str, ColumnEncoder] = {}
            for number, (name, kind, fields) in enumerate(json.loads(path.read_text())):
                if kind in ("category", "boolean", "list"):
                    fields["values"] = load_ids(folder / f"{number}.npy").tolist()
                columns[name] = _ENCODERS[kind](**fields)
            return cls(columns)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error


def _fit(column: Column, values: Sequence[Any]) -> ColumnEncoder:
    if column.kind == "number":
        return NumberEncoder.fit(values)
    if column.kind == "vector":
        return VectorEncoder.fit(values, column.name, column.size)
    if column.encoder is not None:
        return TextEncoder.fit(column.encoder)
    if column.kind in ("multi_category", "text"):
        return ListEncoder.fit(values, text=column.kind == "text")
    return BooleanEncoder.fit(values) if column.kind == "boolean" else CategoryEncoder.fit(values)


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    return frame[name].tolist() if name in frame.columns else [None] * len(frame)


def _state(encoder: ColumnEncoder) -> tuple[str, dict[str, Any]]:
    """Its kind and its fields as plain values, for JSON."""
    kind = next(kind for kind, encoder_type in _ENCODERS.items() if type(encoder) is encoder_type)
    return kind, {name: value for name, value in vars(encoder).items() if not name.startswith("_")}
