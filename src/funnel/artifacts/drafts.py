"""Drafts: hidden folders and files that are being written, each locked by its writer.

The kernel gives the lock back when a writer ends, however it ends, and shows it to every process of the
machine, whatever its pid namespace: containers that share a volume see each other's drafts as living. A
process number says none of this.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DRAFT = ".draft-"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ABANDONED_AFTER = 86_400  # seconds


@contextmanager
def new_folder(store: Path) -> Iterator[Path]:
    """An empty hidden folder in the store, on the same file system as the versions; gone when the block ends,
    unless it has got another name."""
    with _alone(store):
        path = Path(tempfile.mkdtemp(prefix=_prefix(), dir=store))
        lock = locked(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        close(lock)


@contextmanager
def new_file(store: Path) -> Iterator[Path]:
    """The same, for a file."""
    with _alone(store):
        handle, name = tempfile.mkstemp(prefix=_prefix(), dir=store)
        os.close(handle)
        lock = locked(Path(name))
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        close(lock)


def clear(store: Path) -> None:
    """Remove the drafts whose writers are dead.

    Drafts of another machine, or on a file system without locks, count as abandoned after a day without a
    change.
    """
    with _alone(store):  # so that none is between its making and its lock
        abandoned = [(path, lock) for path in store.glob(f"{_DRAFT}*") if (lock := locked(path)) is not None]
        now = _now(store)
    for path, lock in abandoned:
        if _from_here(path) or _age(path, now) > _ABANDONED_AFTER:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        close(lock)


def _prefix() -> str:
    """The beginning of the names of this process's drafts; the process number is there for people only."""
    return f"{_DRAFT}{_machine()}-{os.getpid()}-"


def _machine() -> str:
    """The boot id of the running kernel, which holds the locks; the host name where there is none."""
    try:
        name = _BOOT.read_text().strip()
    except OSError:
        name = socket.gethostname()
    return re.sub(r"[^A-Za-z0-9.]", "_", name)


def _from_here(draft: Path) -> bool:
    """Whether the draft is of this machine, so that a writer without a lock is dead."""
    return draft.name.startswith(f"{_DRAFT}{_machine()}-")


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Hold the store's lock: no other process creates or clears drafts. No protection where there are no
    locks.
    """
    handle = os.open(store, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def locked(draft: Path) -> int | None:
    """The handle of a draft that nobody else holds, now held by us, to be closed with `close`; None for one
    that is held, or is gone."""
    try:
        handle = os.open(draft, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:  # no locks here: only its age shows whether it is abandoned
        return handle
    return handle


def close(lock: int | None) -> None:
    """Let go of what `locked` holds."""
    if lock is not None:
        os.close(lock)


def _now(store: Path) -> float:
    """The time by the clock that dates the files, which is the server's on a network."""
    with suppress(OSError):
        os.utime(store)
    return store.stat().st_mtime


def _age(draft: Path, now: float) -> float:
    try:
        return now - draft.stat().st_mtime
    except OSError:  # it has just been finished
        return 0.0
