"""Finds the tables in a folder: single files, folders of parts, and files with numbered names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from funnel.data.files import DESCRIPTION
from funnel.data.ingested import FOLDER as INGESTED
from funnel.data.parts import FORMS, NAMED_SUFFIXES, PACKED, Form, ending
from funnel.errors import DataError
from funnel.init.findings import Unused

_DATABASE = "a database: give its URL, such as sqlite:///shop.db, or export its tables as CSV"
_HINTS = {
    ".gz": "compressed, and neither CSV nor JSON by its name: unpack it, `gunzip -k FILE`",
    ".zip": "compressed: unpack it",
    ".bz2": "compressed: unpack it",
    ".zst": "compressed: unpack it, `unzstd FILE`", ".xlsx": "a workbook: save each sheet as CSV",
    ".xls": "a workbook: save each sheet as CSV",
    ".pkl": "a pickle, which is never opened: save it as Parquet", ".feather": "save it as Parquet",
    ".orc": "save it as Parquet", ".avro": "save it as Parquet",
    ".db": _DATABASE, ".sqlite": _DATABASE, ".duckdb": _DATABASE,
    ".sql": "a database: export its tables as CSV",
}  # fmt: skip


@dataclass(frozen=True)
class TableFiles:
    """The files of a table. path: within the folder, as in `schema.json`. parts: the files, by name."""

    path: str
    parts: tuple[Path, ...]

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return re.sub(rf"({'|'.join(map(re.escape, FORMS))})({re.escape(PACKED)})?$", "", self.path)

    @property
    def form(self) -> Form:
        """How its files are written."""
        return FORMS[ending(self.parts[0])]

    @property
    def packed(self) -> bool:
        """Whether files of it are compressed."""
        return any(part.suffix == PACKED for part in self.parts)

    @property
    def size(self) -> int:
        """In bytes, of all files."""
        return sum(part.stat().st_size for part in self.parts)


def find(path: Path) -> tuple[Path, list[TableFiles], list[Unused]]:
    """The folder for `schema.json`, the tables in it, and the files that are not tables.

    path: a folder, or a single file. Raises: DataError where there is neither.
    """
    if path.is_file():
        return path.parent, *_sorted(path.parent, [path])
    if not path.is_dir():
        raise DataError(
            f"{path} is not there: a folder of CSV, Parquet or JSON files is expected, or one such file"
        )
    return path, *_sorted(path, _visible(path))


def _sorted(folder: Path, entries: Sequence[Path]) -> tuple[list[TableFiles], list[Unused]]:
    tables: list[TableFiles] = []
    unused: list[Unused] = []
    days = [entry for entry in entries if entry.is_dir() and "=" in entry.name]
    for entry in entries:
        if entry in days or entry.name in (DESCRIPTION, INGESTED):  # which is read beside every table
            continue
        files = _files(entry)
        if why := _unusable(entry, files):
            unused.append(Unused(where=entry.name, why=why))
        else:
            tables.append(TableFiles(entry.name, tuple(files)))
    for name in dict.fromkeys(day.name.partition("=")[0] for day in days):
        mine = [day for day in days if day.name.startswith(f"{name}=")]
        tables.append(TableFiles(f"{name}=*", tuple(path for day in mine for path in _files(day))))
    return tables, unused


def _unusable(entry: Path, files: list[Path]) -> str | None:
    """Why an entry of the folder cannot be read as a table; None where it can."""
    strange = [path for path in files if ending(Path(path.name.lower())) not in FORMS]
    if entry.is_file() and strange:
        return _HINTS.get(entry.suffix.lower(), f"no table: names end in {', '.join(NAMED_SUFFIXES)}")
    if entry.is_file() and ending(entry) not in FORMS:
        return f"its ending is not in small letters: name it {_in_small_letters(entry)}"
    if len(strange) == len(files):
        return "a folder without CSV, Parquet or JSON files"
    if strange:
        return f"a folder that also holds {strange[0].name}: one with the parts of one table only is read"
    if len({FORMS.get(ending(path)) for path in files}) > 1:
        return "a folder with files of several forms: the parts of a table are of one"
    if not any(path.stat().st_size for path in files):
        return "empty"
    return None


def _in_small_letters(entry: Path) -> str:
    end = "".join(entry.suffixes[-2:])
    return entry.name.removesuffix(end) + end.lower()


def numbered(path: str) -> tuple[str, str] | None:
    """The common beginning of numbered names, and a pattern that finds them; None for a name without figures.

    >>> numbered("events-2026-01.csv"), numbered("events.csv")
    (('events-', 'events-[0-9]*.csv'), None)
    """
    match = re.fullmatch(r"([^0-9\[\]*?]*)[0-9].*?((?:\.[a-z]+)+)", path)
    return (match[1], f"{match[1]}[0-9]*{match[2]}") if match else None


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))


def _files(entry: Path) -> list[Path]:
    if not entry.is_dir():
        return [entry]
    return [path for inside in _visible(entry) for path in _files(inside)]
