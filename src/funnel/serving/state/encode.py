"""From what a caller gives to items of a catalogue, checked and encoded; from those to the log and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.data import Schema
from funnel.data.keys import as_ids, written_integers
from funnel.data.records import plain, plain_column
from funnel.errors import BundleError, DataError
from funnel.types import Features, Float32
from funnel.values.nearest import nearest
from funnel.values.shown import shown

_INT64 = 2**63


def checked(frame: pd.DataFrame, own: Contents, schema: Schema) -> list[dict[str, Any]]:
    """The items in the form of the schema, each as plain values for JSON, with ids in the type of the
    catalogue's.

    Raises: DataError for a column that is missing, not declared or of another type, and for an id that is
    missing, there twice, or a text where the catalogue's are whole numbers.
    """
    _check_columns(frame, schema)
    ids = own_ids(own, as_ids(frame["item_id"], "items.item_id").tolist())
    if twice := [item_id for item_id, n in Counter(ids).items() if n > 1]:
        raise DataError(f"items.item_id {twice[0]!r} is there twice")
    columns = {
        column.name: plain_column(frame[column.name], column, f"items.{column.name}")
        for column in schema.items
    }
    names, rows = ("item_id", *columns), zip(ids, *columns.values(), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _check_columns(frame: pd.DataFrame, schema: Schema) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"items is a {type(frame).__name__}: a pandas DataFrame is expected")
    for column in schema.items:
        if column.name not in frame.columns:
            raise DataError(
                f"items has no column {column.name!r}: it has {', '.join(map(str, frame)) or 'none'}; "
                "every declared column must be there, with None where a value is not known"
            )
    if extra := schema.undeclared(frame, "items"):
        near = nearest(extra[0], [column.name for column in schema.items])
        hint = f"; did you mean {near!r}?" if near else ""
        raise DataError(f"items has columns that the schema does not declare: {', '.join(extra)}{hint}")
    if "item_id" not in frame.columns or not frame.columns.is_unique:
        schema.check(frame, "items")  # says which


def fitted(record: dict[str, Any], own: Contents, schema: Schema) -> dict[str, Any]:
    """An item of the log in the form of a schema that may have changed since: columns that it has no longer
    are left out, new ones are missing.

    Raises: DataError where a value does not fit, and when a column is required now that was not there.
    """
    (item_id,) = own_ids(own, [record["item_id"]])
    values = {"item_id": item_id}
    for column in schema.items:
        (values[column.name],) = plain([record.get(column.name)], column, f"items.{column.name}")
    return values


def own_ids(own: Contents, ids: Sequence[Any]) -> list[Any]:
    """Ids in the type of the catalogue's.

    Raises: DataError when they cannot be: the catalogue's are whole numbers and one is a text.
    """
    if own.catalogue.ids.values.dtype.kind != "i":
        return [str(item_id) for item_id in ids]
    if all(type(item_id) is int and abs(item_id) < _INT64 for item_id in ids):
        return list(ids)
    numbers = written_integers(pd.Series(ids, dtype=object).astype("str"))
    if not pd.api.types.is_integer_dtype(numbers.dtype):
        strange = next((item_id for item_id in ids if not str(item_id).lstrip("-").isdigit()), None)
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


def encoded(own: Contents, rows: NDArray[Any], records: Sequence[dict[str, Any]]) -> Encoded:
    """Checked items, encoded by the bundle's own encoder. rows: of the catalogue; beyond its own, new ones.

    Raises: BundleError when the bundle cannot encode new items.
    """
    encoder, tower = own.catalogue.encoder, own.item_encoder
    if encoder is None or tower is None:
        raise BundleError(
            "this bundle was built without what encodes new items; build it again with this version"
        )
    features = {
        name: encoder.encode_column(name, [record.get(name) for record in records]) for name in encoder.specs
    }
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
