"""Lines of whole numbers, `key value value …`, into arrays in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from funnel.errors import DataError
from funnel.types import Int64, Ragged

_MOST_DIGITS = 18  # every number of 18 digits fits in an int64
_EXPECTED = "whole numbers between blanks: a user and its items"


def read_int_lists(path: Path) -> tuple[Int64, Ragged]:
    """Keys int64 [lines] and the values that follow each of them (int64); blank lines are passed over.

    Ten million numbers take a second or two.
    Raises DataError naming the first line that holds anything else, or a file that holds nothing.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected lines of {_EXPECTED}") from None
    raw = np.frombuffer(text, dtype=np.uint8)
    digit = (raw >= ord("0")) & (raw <= ord("9"))
    _refuse(path, text, np.flatnonzero(~digit & ~np.isin(raw, list(b" \t\r\n"))))
    starts, ends = np.flatnonzero(np.diff(digit, prepend=False, append=False)).reshape(-1, 2).T
    if not len(starts):
        raise DataError(f"{path}: it is empty; expected lines of {_EXPECTED}")
    _refuse(path, text, starts[ends - starts > _MOST_DIGITS])
    values = np.fromstring(text, dtype=np.int64, sep=" ")
    line = np.searchsorted(np.flatnonzero(raw == ord("\n")), starts)
    first = np.diff(line, prepend=-1) != 0
    lengths = np.diff(np.flatnonzero(first), append=len(values)) - 1
    return values[first], Ragged.from_lengths(values[~first], lengths)


def _refuse(path: Path, text: bytes, positions: Int64) -> None:
    """Raise DataError for the line of the first of these byte positions, where there is one."""
    if not len(positions):
        return
    number = text.count(b"\n", 0, int(positions[0])) + 1
    line = text.split(b"\n", number)[number - 1][:80].decode("utf-8", "replace").strip()
    raise DataError(f"{path}, line {number}: expected {_EXPECTED}; found {line!r}")
