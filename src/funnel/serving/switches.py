"""Small files of a store that say what may be done now, without a new bundle: every process follows them.

A file is one line of JSON and is replaced atomically; what it was is in `SWITCHES.jsonl`, which is only
appended to. One that cannot be read fails closed: what it allows is not done, and `error` says why.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from funnel.artifacts.writing import changing, replace_line
from funnel.errors import BundleError

log = logging.getLogger(__name__)

#: Seconds between two looks at a file, at most one of a process.
LOOK = 1.0

#: What was written, in order.
SWITCHES = "SWITCHES.jsonl"

_T = TypeVar("_T")


class Followed(Generic[_T]):
    """What a file of the store says now. Thread-safe: two threads may read it twice.

    path: the file. read: makes a value of its JSON, and raises ValueError, KeyError or TypeError for what is
    none. absent: the value where there is no file. closed: that of a file that cannot be read.

    error: why it could not be read when it was last looked at; None when it could.
    """

    def __init__(self, path: Path, read: Callable[[Any], _T], *, absent: _T, closed: _T) -> None:
        self.path = path
        self._read, self._absent, self._closed = read, absent, closed
        self.error: str | None = None
        self._value = absent
        self._mark: tuple[int, int, int] | None = None  # as of a file that is not there
        self._looked = -math.inf

    @property
    def value(self) -> _T:
        """The value; the file is looked at when that was a second ago."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            self._look()
        return self._value

    def _look(self) -> None:
        try:
            stat = self.path.stat()
            mark: tuple[int, int, int] | None = stat.st_ino, stat.st_mtime_ns, stat.st_size
        except FileNotFoundError:
            mark = None
        except OSError as error:
            self._set((-1, -1, -1), self._closed, f"{self.path} cannot be read: {error.strerror}")
            return
        if mark != self._mark:
            self._open(mark)

    def _open(self, mark: tuple[int, int, int] | None) -> None:
        if mark is None:
            self._set(mark, self._absent, None)
            return
        try:
            self._set(mark, self._read(json.loads(self.path.read_bytes())), None)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._set(mark, self._closed, f"{self.path} cannot be read: {type(error).__name__} {error}")
            log.warning("%s; what it allows is not done until it is written again", self.error)

    def _set(self, mark: tuple[int, int, int] | None, value: _T, error: str | None) -> None:
        self._value, self.error, self._mark = value, error, mark


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file, after its new content was appended to the history.

    Raises: BundleError when the store cannot be written; the file is then as it was.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"at": at, **value}, allow_nan=False)
    with changing(path.parent), (path.parent / SWITCHES).open("ab") as history:
        fcntl.flock(history, fcntl.LOCK_EX)
        history.write(json.dumps({"file": path.name, "at": at, **value}).encode() + b"\n")
        history.flush()
        os.fsync(history.fileno())
        replace_line(path, line)


def history(store: Path) -> list[dict[str, Any]]:
    """What was written in a store, in order; a line that is torn or damaged is left out.

    Raises: BundleError when it is there and cannot be read.
    """
    try:
        lines = (store / SWITCHES).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BundleError(f"{store / SWITCHES} cannot be read: {error.strerror}") from error
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        datetime.fromisoformat(entry["at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return dict(entry)
