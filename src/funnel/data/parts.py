"""Which files of a folder are the parts of a table: all are read, or the folder is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from funnel.errors import DataError

SUFFIXES = (".parquet", ".csv")
#: Endings of tables that `schema.json` names; all but the first are text with a separator.
NAMED_SUFFIXES = (".parquet", ".csv", ".tsv", ".txt")

#: What Hive, Spark and others call the folder of rows whose value is missing.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """One file of a table. columns: what the names of its folders say, such as {"date": "2024-01-01"}."""

    path: Path
    columns: dict[str, str | None]


def find_parts(folder: Path, name: str) -> list[Part]:
    """The parts of a table, by name; none where there is no such table.

    A table is a file `name.parquet` or `name.csv`, or a folder of the name with or without that ending, of
    files in any depth of folders. Names that begin with a dot or an underscore are nobody's data.
    Raises: DataError where a table is there more than once, or a file beside its parts cannot be read.
    """
    tables = [path for path in _visible(folder) if path.name == name or path.name.startswith(f"{name}.")]
    if not tables:
        return []
    if len(tables) > 1:
        raise DataError(f"{name} is there more than once: {', '.join(map(str, tables))}; keep one of them")
    return parts_at(tables[0], name)


def parts_at(root: Path, name: str, suffixes: tuple[str, ...] = SUFFIXES) -> list[Part]:
    """The files at `root`, a file or a folder of files, whose names end in one of the suffixes.

    Raises: DataError for a file that does not, for files of two endings, or for none.
    """
    paths = _files(root)
    if strange := [path for path in paths if path.suffix not in suffixes]:
        raise DataError(
            f"{strange[0]} cannot be read as a part of {name}: files that end in {' or '.join(suffixes)} are"
        )
    if len({path.suffix for path in paths}) > 1:
        raise DataError(f"{root} holds both Parquet and CSV files: {name} must be one or the other")
    if not paths:
        raise DataError(f"{root} holds no files: {name} is expected there")
    return [Part(path, _folder_columns(path.relative_to(root.parent).parts[:-1])) for path in paths]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [path for inside in _visible(path) for path in _files(inside)]


def _folder_columns(folders: tuple[str, ...]) -> dict[str, str | None]:
    """The columns that folders such as `date=2024-01-01` stand for."""
    pairs = (folder.partition("=") for folder in folders if "=" in folder)
    return {name: None if value == _NO_VALUE else unquote(value) for name, _, value in pairs}
