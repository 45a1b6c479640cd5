"""Tables as Arrow files that can be mapped into memory."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from funnel.errors import BundleError


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """A frame without its index as an Arrow file, not compressed, so that it can be mapped into memory."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_frame(path: Path) -> pd.DataFrame:
    """What `write_frame` wrote, memory-mapped: columns of numbers and text are read when they are used.

    Raises: BundleError when it is missing or damaged: that text and lists lie within the file is looked at.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)
        return table.to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BundleError(f"{path} cannot be read ({error}); build the bundle again") from error
