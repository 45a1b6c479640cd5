"""How one table of a folder is written: what `files` in `schema.json` says, so that it is read as it is."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from funnel.data.parts import NAMED_SUFFIXES, Part, parts_at
from funnel.errors import DataError
from funnel.settings import Settings

Unit: TypeAlias = Literal["seconds", "milliseconds", "microseconds", "nanoseconds"]


class TableFile(Settings):
    """Where a table lies and how it is written. Only `path` must be given.

    separator, encoding, decimal and missing are for CSV files only.
    """

    path: str = Field(
        min_length=1,
        description="a file, a folder of parts, or a pattern such as events-*.csv, in the folder",
    )
    separator: str = Field(",", min_length=1, max_length=1, description="between the fields of a row")
    encoding: str = Field("utf-8", description="as Python names it, such as cp1252")
    decimal: Literal[".", ","] = Field(".", description="what begins the fraction of a number")
    missing: tuple[str, ...] = Field((), description="texts that stand for no value, such as NULL")
    columns: dict[str, str | None] = Field(
        default_factory=dict,
        description="a key, such as user_id, and the column of the file that holds it; null: the column of "
        "that name is something else",
    )
    unit: Unit = Field("seconds", description="of times that are numbers, counted from 1970")
    format: str | None = Field(None, description="of times in writing that are not ISO 8601: %d.%m.%Y %H:%M")
    zone: str = Field("UTC", description="of times that do not name one, such as Europe/Berlin")
    inside: dict[str, str] = Field(
        default_factory=dict, description="what separates the values inside a cell of a column"
    )
    keep: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="only rows with one of these values in that column are read"
    )
    skip_gaps: bool = Field(False, description="rows without a value in a key are left out, and counted")

    @field_validator("encoding")
    @classmethod
    def _an_encoding(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ValueError(f"{name!r} is no encoding that Python knows, such as utf-8 or cp1252") from None
        return name

    @field_validator("zone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"{name!r} is no time zone, such as UTC or Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for column, separator in self.inside.items():
            if len(separator) != 1:
                raise ValueError(f"inside: {column!r} is split at {separator!r}: one character is expected")
        names = [name for name in self.columns.values() if name is not None]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns: {twice[0]!r} cannot be two keys")
        if self.format is not None and self.unit != "seconds":
            raise ValueError("`unit` is of times that are numbers, `format` of times in writing: give one")
        return self

    def parts(self, folder: Path, name: str) -> list[Part]:
        """The files of the table. Raises: DataError where there are none, or others among them."""
        path = folder / self.path
        if path.exists():
            return parts_at(path, name, NAMED_SUFFIXES)
        matching = (
            sorted(folder.glob(self.path)) if "*" in self.path and not Path(self.path).is_absolute() else []
        )
        if not matching:
            raise DataError(f"{path} is not there, which schema.json names as {name}")
        return [part for file in matching for part in parts_at(file, name, NAMED_SUFFIXES)]
