"""From what a caller gives to items of a catalogue, checked and encoded; from those to the log and back."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.data import Schema
from funnel.data.keys import as_ids, written_integers
from funnel.errors import BundleError, DataError
from funnel.types import Features, Float32
from funnel.values.shown import shown


def checked(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The items in the form of the schema.

    Raises: DataError for a column that is missing, not declared or of another type, and for an id that is
    missing or there twice.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"items is a {type(frame).__name__}: a pandas DataFrame is expected")
    for column in schema.items:
        if column.name not in frame.columns:
            raise DataError(
                f"items has no column {column.name!r}: it has {', '.join(map(str, frame)) or 'none'}; "
                "every declared column must be there, with None where a value is not known"
            )
    if extra := schema.undeclared(frame, "items"):
        near = difflib.get_close_matches(extra[0], [column.name for column in schema.items], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"items has columns that the schema does not declare: {', '.join(extra)}{hint}")
    found = schema.check(frame, "items")
    ids = as_ids(found["item_id"], "items.item_id")
    repeats = ids.duplicated().to_numpy()
    if repeats.any():
        raise DataError(f"items.item_id {ids.tolist()[int(repeats.argmax())]!r} is there twice")
    return found.assign(item_id=ids)


def own_ids(contents: Contents, ids: pd.Series) -> list[Any]:
    """Ids in the type of the catalogue's.

    Raises: DataError when they cannot be: the catalogue's are whole numbers and one is a text.
    """
    if contents.catalogue.ids.values.dtype.kind != "i":
        return ids.astype("str").tolist()
    numbers = ids if pd.api.types.is_integer_dtype(ids.dtype) else written_integers(ids.astype("str"))
    if not pd.api.types.is_integer_dtype(numbers.dtype):
        strange = next((one for one in ids if not str(one).lstrip("-").isdigit()), None)
        raise DataError(
            "items.item_id holds a number of more than 64 bits"
            if strange is None
            else f"items.item_id {shown(strange)} is a text; this catalogue's ids are whole numbers"
        )
    return numbers.tolist()


class Encoded(NamedTuple):
    """Items as a bundle encodes them: columns and vectors, one row an item."""

    features: Features
    vectors: Float32


def encoded(own: Contents, rows: NDArray[Any], frame: pd.DataFrame) -> Encoded:
    """Checked items, encoded by the bundle's own encoder. rows: of the catalogue; beyond its own, new ones.

    Raises: BundleError when the bundle cannot encode new items.
    """
    encoder, tower = own.catalogue.encoder, own.item_encoder
    if encoder is None or tower is None:
        raise BundleError(
            "this bundle was built without what encodes new items; build it again with this version"
        )
    features = encoder.encode(frame)
    return Encoded(features, _vectors(own, rows, features, tower.encode(features, len(rows))))


def _vectors(own: Contents, rows: NDArray[Any], features: Any, cold: Float32) -> Float32:
    """Vectors of new items, and of those that the bundle has with other columns.

    A trained item's vector knows more than its columns. What the columns' change makes of an item without
    events is added to it; that is exact unless the towers normalise, which hides the columns' share in it.
    """
    assert own.item_encoder is not None
    known = np.flatnonzero(rows < len(own.vectors))
    if not len(known):
        return cold
    before = {name: values[rows[known]] for name, values in own.catalogue.features.items()}
    vectors = cold.copy()
    same = np.ones(len(known), dtype=np.bool_)
    for name, values in before.items():
        same &= (values == features[name][known]).reshape(len(known), -1).all(axis=1)
    trained = np.asarray(own.vectors[rows[known]])
    moved = trained + cold[known] - own.item_encoder.encode(before, len(known))
    if own.encoder.config.normalize:
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
    vectors[known] = np.where(same[:, None], trained, moved)
    return vectors


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Checked items as plain values for JSON."""
    return [
        {str(name): _plain(value) for name, value in record.items()} for record in frame.to_dict("records")
    ]


def from_records(records: Sequence[dict[str, Any]], schema: Schema) -> pd.DataFrame:
    """The inverse of `to_records`, for a schema that may have changed since: columns that it has no longer
    are left out, new ones are missing.

    Raises: DataError when a column is required now that was not there.
    """
    names = ["item_id", *(column.name for column in schema.items)]
    values = {name: pd.Series([record.get(name) for record in records], dtype=object) for name in names}
    found = schema.check(pd.DataFrame(values), "items")
    return found.assign(item_id=as_ids(found["item_id"], "items.item_id"))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if value is None or value is pd.NA or value != value else value
