"""The files of the log: `2026-11-27T19.HOST-PID-CHANCE.jsonl`, one an hour and process, and compacted ones.

Whoever writes a file holds the kernel's lock on it, which ends with the process however that ends: a file
whose lock can be had will not be written any more.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

LINES, COMPACTED = ".jsonl", ".parquet"
HOUR = 3600
_FORM = "%Y-%m-%dT%H"
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})\.[A-Za-z0-9_-]+(\.jsonl|\.parquet)")


def answers_folder(store: Path | str) -> Path:
    """Where the log of a store's folder is."""
    return Path(store) / "live" / "answers"


def shadow_folder(store: Path | str) -> Path:
    """Where the log of what arms would have answered is that nobody sees."""
    return Path(store) / "live" / "shadow"


def hour_of(seconds: float) -> int:
    """The first second of the hour that a moment is in."""
    return int(seconds // HOUR) * HOUR


def hour_in(path: Path) -> int | None:
    """The first second of the hour that a file is of; None where it is no file of the log."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        return int(datetime.strptime(match[1], _FORM).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def hour_text(hour: int) -> str:
    """An hour as names of files have it.

    >>> hour_text(1_790_000_000)
    '2026-09-21T14'
    """
    return datetime.fromtimestamp(hour, UTC).strftime(_FORM)


def in_hours(folder: Path, since: float | None, until: float | None) -> list[Path]:
    """Files of the log that may hold moments of [since, until), by hour and name."""
    files = []
    for path in folder.iterdir() if folder.is_dir() else ():
        hour = hour_in(path)
        if hour is None or (since is not None and hour + HOUR <= since):
            continue
        if until is None or hour < until:
            files.append((hour, path.name, path))
    return [path for *_, path in sorted(files)]


def new_file(folder: Path, hour: int) -> FileIO:
    """A new file of this process, with its lock. Raises: OSError."""
    host = re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())[:40] or "host"
    name = f"{hour_text(hour)}.{host}-{os.getpid()}-{os.urandom(4).hex()}{LINES}"
    folder.mkdir(parents=True, exist_ok=True)
    file = FileIO(str(folder / name), "a", opener=_private)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a file system without locks: nobody could tell when the file is closed
        (folder / name).unlink()
        file.close()
        raise
    return file


def _private(path: str, flags: int) -> int:
    """For the owner alone: the rows are of people."""
    return os.open(path, flags | os.O_EXCL, 0o600)


@contextmanager
def closed(path: Path) -> Iterator[bool]:
    """Whether nobody writes a file any more; meanwhile nobody else may take it up. Raises: OSError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield path.exists()
