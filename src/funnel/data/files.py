"""Tables in a folder: `events.parquet`, or `events.csv`, or a folder `events/` of such files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from funnel.data.keys import written_integers
from funnel.data.schema import KEYS, Schema, TableName
from funnel.errors import DataError
from funnel.types import Clock

DESCRIPTION = "schema.json"
_SUFFIXES = (".parquet", ".csv")


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


def read_needed_table(folder: Path, name: TableName) -> pd.DataFrame:
    """As `read_table`; DataError where there is no such table."""
    table = read_table(folder, name)
    if table is None:
        raise DataError(f"{folder} has no {name}: {name}.parquet, {name}.csv or {name}/*.parquet is expected")
    return table


def read_table(folder: Path, name: TableName) -> pd.DataFrame | None:
    """The parts of a table end to end, by file name; None where there is none."""
    parts = _parts(folder, name)
    if not parts:
        return None
    frames = [_read(path) for path in parts]
    table = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if parts[0].suffix == ".csv":  # where everything is read as text
        for key in KEYS[name]:
            if key in table.columns:
                table[key] = written_integers(table[key])
    return table


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


def _parts(folder: Path, name: str) -> list[Path]:
    found = {path: [path] for path in (folder / f"{name}{suffix}" for suffix in _SUFFIXES) if path.is_file()}
    for suffix in _SUFFIXES:
        if inside := sorted((folder / name).glob(f"*{suffix}")):
            found[folder / name / f"*{suffix}"] = inside
    if len(found) > 1:
        raise DataError(f"{name} is there more than once: {', '.join(map(str, found))}; keep one of them")
    return next(iter(found.values()), [])


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        # As text, so that "007" and the country "NA" stay what they are; the schema says what is a number.
        return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:  # pandas' and pyarrow's parsing errors are ValueErrors
        raise DataError(f"{path} cannot be read: {error}") from error
