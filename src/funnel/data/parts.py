"""Which files of a folder are the parts of a table: all are read, or the folder is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote

from funnel.errors import DataError

Form: TypeAlias = Literal["Parquet", "CSV", "JSON"]

#: How the files of an ending are written; those that are read as text may be compressed, `.csv.gz`.
FORMS: dict[str, Form] = {
    ".parquet": "Parquet", ".csv": "CSV", ".tsv": "CSV", ".txt": "CSV",
    ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON",
}  # fmt: skip
#: Endings of tables that `schema.json` names, and of those that are found by their names.
NAMED_SUFFIXES = tuple(FORMS)
SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson", ".json")
PACKED = ".gz"

#: What Hive, Spark and others call the folder of rows whose value is missing.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """One file of a table. columns: what the names of its folders say, such as {"date": "2024-01-01"}."""

    path: Path
    columns: dict[str, str | None]

    @property
    def form(self) -> Form:
        """How it is written."""
        return FORMS[ending(self.path)]


def ending(path: Path) -> str:
    """The ending of a name, that of what is packed where it is compressed; "" where that cannot be read.

    >>> ending(Path("events.csv.gz")), ending(Path("events.parquet.gz")), ending(Path("events.orc"))
    ('.csv', '', '.orc')
    """
    if path.suffix != PACKED:
        return path.suffix
    inner = Path(path.stem).suffix
    return inner if FORMS.get(inner, "Parquet") != "Parquet" else ""


def find_parts(folder: Path, name: str) -> list[Part]:
    """The parts of a table, by name; none where there is no such table.

    A table is a file `name.parquet`, `name.csv` or `name.jsonl`, the last two also compressed
    (`name.csv.gz`), or a folder of the name with or without that ending, of files in any depth of folders.
    Names that begin with a dot or an underscore are nobody's data.
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
    if strange := [path for path in paths if ending(path) not in suffixes]:
        raise DataError(
            f"{strange[0]} cannot be read as a part of {name}: files in {' or '.join(suffixes)} can, "
            f"all but Parquet also with {PACKED} behind"
        )
    there = {FORMS[ending(path)] for path in paths}
    if len(forms := [form for form in dict.fromkeys(FORMS.values()) if form in there]) > 1:
        raise DataError(f"{root} holds both {' and '.join(forms)} files: {name} must be one or the other")
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
