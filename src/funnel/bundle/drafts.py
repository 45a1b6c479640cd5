"""Whose an unfinished version is: a killed writer's is cleared away, a living one's is not."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

_DRAFT = ".draft-"
_ABANDONED_AFTER = 86_400  # seconds


def prefix() -> str:
    """How the names of this process's drafts begin: the machine, and the process."""
    machine = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
    return f"{_DRAFT}{machine}-{os.getpid()}-"


def new(store: Path) -> Path:
    """An empty hidden folder in the store, on the same file system as the versions."""
    return Path(tempfile.mkdtemp(prefix=prefix(), dir=store))


def clear(store: Path) -> None:
    """Remove the drafts whose writers are dead."""
    for path in store.glob(f"{_DRAFT}*"):
        if _abandoned(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _abandoned(draft: Path) -> bool:
    """Whether its writer is dead; one on another machine is taken for dead after a day without a change."""
    machine, _, rest = draft.name.removeprefix(_DRAFT).partition("-")
    process = rest.partition("-")[0]
    if process.isdecimal() and prefix().startswith(f"{_DRAFT}{machine}-"):
        return not _alive(int(process))
    try:
        return time.time() - draft.stat().st_mtime > _ABANDONED_AFTER
    except OSError:  # it has just been finished
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
