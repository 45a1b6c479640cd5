"""Who compacts or erases does so alone, and nobody looks for files meanwhile."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".rewriting"


@contextmanager
def rewriting(folder: Path) -> Iterator[None]:
    """While nobody else rewrites files of the log. Raises: OSError where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked meanwhile has the file open as well


@contextmanager
def rewriting_if_free(folder: Path) -> Iterator[bool]:
    """The same without waiting; False where somebody else does. Raises: OSError."""
    with (folder / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def looking(folder: Path) -> Iterator[None]:
    """While nobody rewrites files of the log."""
    try:
        file = (folder / _LOCK).open("rb")
    except OSError:  # nobody ever did
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
