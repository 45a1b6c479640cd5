"""Whether the files that the data come from are the same ones, without reading them."""

from __future__ import annotations

import os
from pathlib import Path

from funnel.data import DataConfig


def signature(config: DataConfig) -> dict[str, list[int]]:
    """Size and time of change (ns) of every file, by its path below the config's; {} where nothing is there.

    Not hashed, since that reads all of them each time, minutes for a large log, to find what the two say in
    a millisecond. Files that only look new cost one more `ingest`: it hashes the tables, and what follows
    goes by that hash. A file that was changed and kept both needs `--from ingest`. Where the config names no
    path, the reader makes or fetches the data by the config and pinned hashes: there is nothing to look at.
    """
    if config.path is None:
        return {}
    root = Path(config.path).expanduser()
    if root.is_file():
        return {root.name: _stamp(root)}
    found = {}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                path = Path(folder, name)
                found[path.relative_to(root).as_posix()] = _stamp(path)
    return found


def _stamp(path: Path) -> list[int]:
    try:
        said = path.stat()
    except OSError:  # a link to nowhere, or gone since it was listed
        return [-1, -1]
    return [said.st_size, said.st_mtime_ns]
