"""A long table as one file, written piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from funnel.artifacts.writing import whole_file
from funnel.errors import ConfigError


def check_table(path: Path) -> None:
    """Raises: ConfigError where the name says neither Parquet nor CSV."""
    if path.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{str(path)!r}: a file name that ends in .parquet or .csv is expected")


def write_pieces(path: Path, pieces: Iterable[pd.DataFrame]) -> None:
    """Write frames of the same columns, at least one, to a .parquet or .csv file: whole or not at all.

    Raises: ConfigError for another name, BundleError where it cannot be written.
    """
    check_table(path)
    tables = (pa.Table.from_pandas(piece, preserve_index=False) for piece in pieces)
    first = next(tables)
    kind = CSVWriter if path.suffix == ".csv" else pq.ParquetWriter
    with whole_file(path) as hidden, kind(hidden, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))
