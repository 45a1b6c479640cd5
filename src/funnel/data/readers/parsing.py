"""Delimited text files into typed frames, quickly, and a bad line by its number.

The fast path reads a whole file in compiled code. Only when that refuses the file, or brings a number that is
not finite, are the lines walked one by one to name the first that is wrong.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from funnel.errors import DataError

#: What a field of a line has to be. "text" may be empty; a number must be there and finite.
Kind: TypeAlias = Literal["int", "float", "text"]
#: The columns to read, by name.
Fields: TypeAlias = Mapping[str, Kind]

_ARROW = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
_EXPECTED = {"int": "a whole number", "float": "a finite number", "text": "text"}


def require(folder: Path, *names: str) -> None:
    """Raise DataError unless the folder holds all of these files."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} is not there; expected {', '.join(names)}")


@dataclass(frozen=True)
class TextTable:
    """A delimited file, and how it is written.

    sep: one character, or "::". names: all columns in order, where the first line is not a header.
    quoted: fields may be wrapped in double quotes.
    """

    path: Path
    sep: str
    names: tuple[str, ...] = ()
    quoted: bool = False

    def read(self, fields: Fields) -> pd.DataFrame:
        """The columns `fields` as int64, float64 or text; other columns are not read.

        Raises DataError naming the file and the first line that does not fit.
        """
        encoding = self._encoding()
        header = list(self.names) or self._header(encoding)
        absent = [name for name in fields if name not in header]
        if absent:
            raise DataError(f"{self.path}, line 1: no column {', '.join(absent)}; found {', '.join(header)}")
        try:
            frame: pd.DataFrame = self._arrow(fields, header, encoding).to_pandas()
        except pa.ArrowInvalid as error:
            raise self._first_bad_line(fields, header, encoding, str(error)) from None
        numbers = frame[[name for name, kind in fields.items() if kind == "float"]]
        if not np.isfinite(numbers.to_numpy(dtype=np.float64)).all():
            raise self._first_bad_line(fields, header, encoding, "a number is not finite")
        return frame

    def _encoding(self) -> str:
        """utf-8 where the first megabyte is that, else latin-1 (older MovieLens releases)."""
        with self.path.open("rb") as file:
            start = file.read(1 << 20)
        try:
            start.decode("utf-8")
        except UnicodeDecodeError as error:
            return "utf-8" if error.start > len(start) - 4 else "latin-1"  # a character cut at the end
        return "utf-8"

    def _header(self, encoding: str) -> list[str]:
        with self.path.open(encoding=encoding, newline="") as lines:
            return self._split(next(lines, "").removeprefix("\ufeff"))

    def _arrow(self, fields: Fields, header: list[str], encoding: str) -> pa.Table:
        source: str | pa.BufferReader = str(self.path)
        sep = self.sep
        if len(sep) > 1:  # Arrow splits at one byte; \x01 occurs in no text
            source, sep = pa.BufferReader(self.path.read_bytes().replace(sep.encode(), b"\x01")), "\x01"
        skip = 0 if self.names else 1
        return pacsv.read_csv(
            source,
            read_options=pacsv.ReadOptions(column_names=header, skip_rows=skip, encoding=encoding),
            parse_options=pacsv.ParseOptions(delimiter=sep, quote_char='"' if self.quoted else False),
            convert_options=pacsv.ConvertOptions(
                column_types={name: _ARROW[kind] for name, kind in fields.items()},
                include_columns=list(fields),
                null_values=[],
                strings_can_be_null=False,
            ),
        )

    def _first_bad_line(self, fields: Fields, header: list[str], encoding: str, otherwise: str) -> DataError:
        columns = f"{len(header)} fields ({', '.join(header[:6])}{', …' if len(header) > 6 else ''})"
        with self.path.open(encoding=encoding, errors="replace", newline="") as lines:
            for number, line in enumerate(lines, start=1):
                if (number == 1 and not self.names) or not line.strip():
                    continue
                parts = self._split(line)
                if len(parts) != len(header):
                    actual = f"{len(parts)}: {line.strip()[:80]!r}"
                    return DataError(f"{self.path}, line {number}: expected {columns}, found {actual}")
                for name, kind in fields.items():
                    value = parts[header.index(name)]
                    if not _fits(value, kind):
                        wrong = f"{name} must be {_EXPECTED[kind]}, found {value!r}"
                        return DataError(f"{self.path}, line {number}: {wrong}")
        return DataError(f"{self.path}: expected {columns} a line; {otherwise}")

    def _split(self, line: str) -> list[str]:
        line = line.rstrip("\r\n")
        return next(csv.reader([line], delimiter=self.sep), []) if self.quoted else line.split(self.sep)


def _fits(value: str, kind: Kind) -> bool:
    try:
        if kind == "int":
            return abs(int(value)) < 2**63
        return kind == "text" or math.isfinite(float(value))
    except ValueError:
        return False
