"""Files of what was ingested: each appears whole, and its name or metadata say what it was made from."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from funnel.artifacts.writing import sync


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other process ingests into a folder; what a killed one left half written is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for hidden in folder.glob("*/.*.new"):
            hidden.unlink()
        yield


def write_whole(
    target: Path,
    schema: pa.Schema,
    batches: Iterable[list[dict[str, Any]]],
    about: Mapping[str, str] | None = None,
) -> int:
    """Write rows in batches; how many there were. Raises: OSError; the file is then as it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden, rows = target.with_name(f".{target.name}.new"), 0
    try:
        with pq.ParquetWriter(hidden, schema.with_metadata(dict(about or {})), compression="zstd") as writer:
            for batch in batches:
                writer.write_table(pa.Table.from_pylist(batch, schema=writer.schema))
                rows += len(batch)
        sync(hidden)
        hidden.replace(target)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    sync(target.parent)
    return rows


def about(path: Path, key: str) -> str | None:
    """What a file's metadata say; None where it is absent or says nothing."""
    if not path.exists():
        return None
    value = (pq.read_schema(path).metadata or {}).get(key.encode())
    return None if value is None else value.decode()
