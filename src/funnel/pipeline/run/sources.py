"""A signature of the files that the data come from, without reading them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from funnel.data import DataConfig, elsewhere
from funnel.values.urls import is_url


def signature(config: DataConfig) -> dict[str, list[int]]:
    """[size, time of change in ns] of every file, by its path below the config's; {} where there is none.

    Hashing the files would read all of them at every run, which takes minutes for a large log. Files that
    only look new cost one more `ingest`: it hashes the tables, and later steps depend on that hash. A file
    that changed with the same size and time needs `--from ingest`. Where the config names no path, the reader
    makes or fetches the data from the config and pinned hashes, so there are no files to look at.
    """
    if config.path is None:
        return {}
    if is_url(config.path):
        return elsewhere.stamps(config.path)
    root = Path(config.path).expanduser()
    if root.is_file():
        return {root.name: _stamp(root)}
    stamps = {}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(folder, name)
                stamps[path.relative_to(root).as_posix()] = _stamp(path)
    return stamps


def moment(config: DataConfig) -> dict[str, int]:
    """What makes each reading of a database another one, since nobody can tell whether it changed; {} for
    files. Equal tables are found equal by their hash, and no later step is done again."""
    return {"read_at": time.time_ns()} if config.reader == "sql" else {}


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:  # a link to nowhere, or gone since it was listed
        return [-1, -1]
    return [status.st_size, status.st_mtime_ns]
