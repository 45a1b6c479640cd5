"""Made data for `benchmarks.memory`: events, lists and items, written a chunk at a time.

Users come back with a heavy tail, items are taken with another; text ids, times rising over a year, ten
items a list. A chunk is made of its number and the seed alone, so that no more than one is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 1_000_000
YEAR, START = 365 * 86_400, 1_700_000_000
PER_LIST = 10


@dataclass(frozen=True)
class Size:
    """events, and as many impressions. One user has about 20 events, one item about 10."""

    events: int

    @property
    def users(self) -> int:
        """How many there are."""
        return max(10, self.events // 20)

    @property
    def items(self) -> int:
        """How many there are."""
        return max(100, self.events // 10)


def write(size: Size, folder: Path, seed: int = 0) -> None:
    """The tables of a world, unless they are there."""
    if (folder / "schema.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "items.parquet", _items(size))
    _write(folder / "events.parquet", _events(size, seed))
    _write(folder / "impressions.parquet", _lists(size, seed))
    columns = [{"name": "category", "kind": "category"}, {"name": "price", "kind": "number"}]
    (folder / "schema.json").write_text(json.dumps({"name": f"made-{size.events}", "items": columns}))


def _write(path: Path, tables: Iterator[Any]) -> None:
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _ids(letter: str, rows: Any) -> Any:
    """Text ids of a fixed width, in the order of the rows."""
    digits = 48 + (rows[:, None] // 10 ** np.arange(9, -1, -1)) % 10
    text = np.concatenate([np.full((len(rows), 1), ord(letter)), digits], 1).astype(np.uint8)
    offsets = pa.py_buffer(np.arange(0, 11 * (len(rows) + 1), 11, dtype=np.int32))
    return pa.StringArray.from_buffers(len(rows), offsets, pa.py_buffer(np.ascontiguousarray(text)))


def _chunks(n: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, CHUNK):
        yield start, min(start + CHUNK, n)


def _tailed(rng: np.random.Generator, n: int, size: int, power: float) -> Any:
    """Rows with a heavy tail, the popular ones anywhere."""
    rows = (n * rng.random(size) ** power).astype(np.int64)
    return rows * 7_368_787 % n  # a prime, so that it is one to one where n is no multiple of it


def _items(size: Size) -> Iterator[Any]:
    for start, stop in _chunks(size.items):
        rows = np.arange(start, stop)
        yield pa.table(
            {
                "item_id": _ids("i", rows),
                "category": pa.array([f"c{code}" for code in range(50)]).take(pa.array(rows % 50)),
                "price": rows % 997 / 10,
            }
        )


def _events(size: Size, seed: int) -> Iterator[Any]:
    for start, stop in _chunks(size.events):
        rng = np.random.default_rng([seed, 0, start])
        n = stop - start
        yield pa.table(
            {
                "user_id": _ids("u", _tailed(rng, size.users, n, 1.5)),
                "item_id": _ids("i", _tailed(rng, size.items, n, 2.0)),
                "time": np.sort(START + (YEAR * (start + n * rng.random(n)) / size.events).astype(np.int64)),
            }
        )


def _lists(size: Size, seed: int) -> Iterator[Any]:
    for start, stop in _chunks(size.events):
        rng = np.random.default_rng([seed, 1, start])
        n = stop - start
        rows = np.arange(start, stop)
        lists = rows // PER_LIST
        users = _tailed(np.random.default_rng([seed, 2, start]), size.users, n, 1.5)
        times = START + (YEAR * lists * PER_LIST / size.events).astype(np.int64)
        yield pa.table(
            {
                "request_id": _ids("r", lists),
                "user_id": _ids("u", users[(lists - lists[0])]),
                "item_id": _ids("i", _tailed(rng, size.items, n, 2.0)),
                "time": times,
                "position": (rows % PER_LIST).astype(np.int32),
                "clicked": rng.random(n) < 0.08,
            }
        )
