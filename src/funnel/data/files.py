"""A data set in a folder: what `schema.json` says of it, and how one is written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from funnel.data.schema import KEYS, Schema
from funnel.errors import DataError
from funnel.types import Clock

DESCRIPTION = "schema.json"


class Description(Schema):
    """What `schema.json` holds: the columns of the tables, what orders the events, a name."""

    name: str = ""
    clock: Clock = "time"

    def schema_only(self) -> Schema:
        """Without the name and the clock."""
        return Schema(**{table: self.columns(table) for table in KEYS})


def read_description(folder: Path) -> Description | None:
    """`schema.json`, or None where there is none. Raises DataError where it cannot be understood."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: one with events.parquet or events.csv is expected")
    path = folder / DESCRIPTION
    try:
        return Description.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"{path} does not describe a data set: {problems}") from error


def write_folder(folder: Path, tables: Mapping[str, pd.DataFrame], description: Description) -> None:
    """Written aside, then renamed. Raises DataError where the folder exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is already there and not empty: give the name of a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, table in tables.items():
            table.to_parquet(aside / f"{name}.parquet", index=False)
        (aside / DESCRIPTION).write_text(description.model_dump_json(indent=2, exclude_none=True) + "\n")
        aside.chmod(0o755)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
