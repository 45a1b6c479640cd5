"""One run at a time in a store."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from funnel.artifacts.writing import changing
from funnel.errors import BundleError

LOCK = "LOCK"


@contextmanager
def only_run(folder: Path, config: str) -> Iterator[None]:
    """Hold the folder for one run; the kernel lets go of it when the process ends, however it ends.

    Raises: BundleError saying who holds it, or that the folder cannot be written.
    """
    with changing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise BundleError(
                f"{folder.parent}: another run is at work there ({_who(file.read())}); wait until it has "
                "ended, or give another --store"
            ) from error
        holder = {
            "process": os.getpid(),
            "machine": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": config,
        }
        with changing(folder):
            file.truncate(0)
            file.write(json.dumps(holder))
            file.flush()
        yield


def _who(text: str) -> str:
    """The holder in words; it may just be writing them."""
    try:
        held = json.loads(text)
        return f"{held['config']}, process {held['process']} on {held['machine']}, since {held['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has just begun"
