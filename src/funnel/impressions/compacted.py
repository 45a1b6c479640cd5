"""The compacted form: Parquet, whose columns are the fields of the record.

Ids are numbers in one column or texts in another; what has no fixed form, such as a filter, is JSON. The
names of the files that went into it are in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.impressions.record import Impression

_SOURCES = b"funnel.sources"
_JSON = ("arms", "weights", "teams", "context", "where", "policy", "ms", "request")
_SAME = ("id", "time", "version", "k", "state", "call")
_INT64 = np.iinfo(np.int64)

#: Answers that are written together.
_TOGETHER = 5000


def write_compacted(path: Path, impressions: Iterable[Impression], sources: Sequence[str]) -> None:
    """Write one file; of the answers some thousands are in memory at a time. Raises: OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema().with_metadata({_SOURCES: json.dumps(list(sources)).encode()})
    rows = map(_row, impressions)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while some := list(islice(rows, _TOGETHER)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


def users_in(path: Path) -> set[str]:
    """Users of a file, in writing. Raises: DataError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["user_number", "user_text"])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    columns = [column.drop_null().unique().to_pylist() for column in table.columns]
    return {str(user) for column in columns for user in column}


def sources_of(path: Path) -> list[str]:
    """Names of the files whose answers it holds. Raises: DataError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        return [str(name) for name in json.loads(metadata.get(_SOURCES, b"[]"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def impressions_in(path: Path, file: BufferedReader | None = None) -> Iterator[Impression]:
    """The answers of a file. file: where it is open already. Raises: DataError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path if file is None else file) as parquet:
            for batch in parquet.iter_batches(1000):
                yield from map(_impression, batch.to_pylist())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read: {error}; restore it, or remove it and what it holds")


def _schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [
            ("id", text), ("time", pa.float64()), ("user_number", pa.int64()), ("user_text", text),
            ("version", text), ("state", text), ("call", text), ("k", pa.int32()),
            ("item_numbers", pa.list_(pa.int64())), ("item_texts", pa.list_(text)),
            ("scores", pa.list_(pa.float32())), ("shown", pa.list_(pa.int32())),
            ("propensities", pa.list_(pa.float64())), ("reasons", pa.list_(text)), ("seed", pa.int64()),
            *((name, text) for name in _JSON),
        ]
    )  # fmt: skip


def _row(impression: Impression) -> dict[str, Any]:
    user, items = impression.user, impression.items
    numbers = all(_is_number(item) for item in items)
    row = {name: getattr(impression, name) for name in _SAME}
    row |= {name: _json(getattr(impression, name)) for name in _JSON}
    return row | {
        "user_number": user if _is_number(user) else None,
        "user_text": None if user is None or _is_number(user) else str(user),
        "item_numbers": items if numbers else None,
        "item_texts": None if numbers else [_written(item) for item in items],
        "scores": impression.scores,
        "shown": impression.shown,
        "propensities": impression.propensities,
        "reasons": impression.reasons,
        "seed": impression.seed,
    }


def _impression(row: dict[str, Any]) -> Impression:
    items = row["item_numbers"]
    if items is None:
        items = [_read(item) for item in row["item_texts"]]
    fields = {name: row[name] for name in _SAME}
    # Files of an earlier funnel lack the later columns.
    fields |= {name: json.loads(row[name]) for name in _JSON if row.get(name) is not None}
    fields["teams"] = tuple(fields.get("teams", ()))
    return Impression(
        user=row["user_text"] if row["user_number"] is None else row["user_number"],
        items=tuple(items),
        scores=np.array(row["scores"], dtype=np.float32),
        shown=tuple(row["shown"]),
        propensities=None if row["propensities"] is None else tuple(row["propensities"]),
        reasons=tuple(row["reasons"]),
        seed=row.get("seed"),
        **fields,
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and _INT64.min <= value <= _INT64.max


def _written(item: Any) -> str:
    """An item's id among texts: as JSON where it is no text, so that it comes back as it was."""
    return item if isinstance(item, str) and not item.startswith("\0") else f"\0{json.dumps(item)}"


def _read(text: str) -> Any:
    return json.loads(text[1:]) if text.startswith("\0") else text


def _json(value: Any) -> str | None:
    if value is None or not len(value):
        return None
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
