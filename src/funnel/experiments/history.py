"""What was done with a store's experiments: lines that are only appended to, under a lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from funnel.artifacts.writing import changing

HISTORY = "EXPERIMENTS.jsonl"

#: Appends what was done, with which experiment, the details, and when in seconds since 1970.
Record: TypeAlias = Callable[[str, str, Mapping[str, Any], float], None]

_KEYS = {"action", "name", "at", "about"}


@contextmanager
def locked(folder: Path) -> Iterator[Record]:
    """Hold the history's lock; what appends a line to it, durably."""
    with changing(folder), (folder / HISTORY).open("ab", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def record(action: str, name: str, about: Mapping[str, Any], at: float) -> None:
            line = json.dumps({"action": action, "name": name, "at": at, "about": about})
            file.write(b"\n" * _torn(folder / HISTORY) + line.encode() + b"\n")
            os.fsync(file.fileno())

        yield record


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Every whole line: action, name, at, about."""
    try:
        lines = (folder / HISTORY).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    listed = []
    for line in lines:
        try:
            listed.append(json.loads(line))
        except ValueError:
            continue  # torn by a writer that was killed
    return [line for line in listed if isinstance(line, dict) and {*line} >= _KEYS]


def _torn(path: Path) -> bool:
    """Whether the last line has no end: its writer was killed."""
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")
