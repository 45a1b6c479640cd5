"""A fingerprint of tables that depends on their content only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.schema import Schema


def checksum(schema: Schema, clock: str, tables: Sequence[pd.DataFrame | None]) -> str:
    """sha256, hex. Equal for equal values in an equal order, whatever library version holds them."""
    digest = hashlib.sha256(f"{schema.fingerprint()} {clock}".encode())
    for table in tables:
        if table is None:
            digest.update(b"no table")
            continue
        digest.update(f"table of {len(table)}".encode())
        for name in table.columns:
            digest.update(json.dumps(name).encode())
            _add(digest, table[name])
    return digest.hexdigest()


def _add(digest: Any, column: pd.Series) -> None:
    if isinstance(column.dtype, pd.BooleanDtype):
        column = column.astype("Int8").fillna(-1).astype(np.int8)
    if column.dtype != object and pd.api.types.is_numeric_dtype(column.dtype):
        digest.update(np.ascontiguousarray(column.to_numpy()).data)
        return
    if column.dtype == object:  # lists of texts, or vectors with None for a missing one
        lengths = [-1 if value is None else len(value) for value in column]
        digest.update(np.array(lengths, dtype=np.int64).data)
        parts = [value for value in column if value is not None and len(value)]
        if parts and isinstance(parts[0], np.ndarray):
            digest.update(np.concatenate(parts).data)
            return
        column = pd.Series([word for value in parts for word in value], dtype="str")
    codes, distinct = pd.factorize(column)
    digest.update(codes.astype(np.int64).data)
    digest.update(json.dumps(list(distinct)).encode())
