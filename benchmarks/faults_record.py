"""What the processes of benchmarks/faults_live.py share, and what they say of each change."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PROCESSES = 4
#: Movies of the bundle; new items and users have ids from here on, a hundred and a thousand a process.
MOVIES, NEW, USERS, BEACONS = 500, 10_000, 100_000, 20_000
#: How many of each a process has to itself.
OWN_MOVIES, OWN_NEW, OWN_USERS = 40, 60, 500
_KEPT = 64


def own_items(process: int) -> list[int]:
    """The items that only this process changes: some that the bundle has, and some that it has not."""
    movies = [one for one in range(1, MOVIES + 1) if one % PROCESSES == process][:OWN_MOVIES]
    return [*movies, *range(NEW + 100 * process, NEW + 100 * process + OWN_NEW)]


class Shared:
    """Numbers that all processes see, without a lock that one of them could die with. Moments are monotonic.

    stop, ready, clock: what is asked of the processes, who answers, and by how much clocks are wrong.
    deleted: by item, when its deletion was acknowledged; infinite while it may be there. latest: by kind and
    process, the last number that its beacon has for sure; at: since when.
    """

    def __init__(self, path: Path) -> None:
        sizes = {
            "stop": (1,), "ready": (PROCESSES,), "clock": (PROCESSES,), "deleted": (BEACONS + 100,),
            "latest": (2, PROCESSES), "at": (2, PROCESSES, _KEPT),
        }  # fmt: skip
        total = sum(int(np.prod(shape)) for shape in sizes.values())
        new = not path.exists()
        if new:
            np.zeros(total).tofile(path)
        memory, parts, begin = np.memmap(path, dtype=np.float64, mode="r+"), {}, 0
        for name, shape in sizes.items():
            n = int(np.prod(shape))
            parts[name] = memory[begin : begin + n].reshape(shape)
            begin += n
        self.stop, self.ready, self.clock = parts["stop"], parts["ready"], parts["clock"]
        self.deleted, self.latest, self._at = parts["deleted"], parts["latest"], parts["at"]
        if new:
            self.deleted[:] = np.inf

    def acknowledged(self, kind: int, process: int, number: int, at: float) -> None:
        """A beacon has this number from now on."""
        self._at[kind, process, number % _KEPT] = at
        self.latest[kind, process] = number

    def at(self, kind: int, process: int, number: int) -> float:
        """When that was."""
        return float(self._at[kind, process, number % _KEPT])


class Change(NamedTuple):
    """outcome: "kept", "not there" (nothing to change), "refused", or "unknown": killed meanwhile."""

    what: str
    key: int
    value: float
    outcome: str


class Record:
    """A file of what one process is about to do and has done, a line each, which survives its end."""

    def __init__(self, folder: Path, process: int, generation: int) -> None:
        path = folder / "records" / f"{process}-{generation:03d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, *line: Any) -> None:
        """One line, at once."""
        os.write(self._file, json.dumps(line).encode() + b"\n")


def lines(folder: Path, process: int) -> Iterator[list[Any]]:
    """Of all generations of a process, in their order. A last line that was cut off is left out."""
    for path in sorted((folder / "records").glob(f"{process}-*.jsonl")):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)
        yield ["end"]


def changes(folder: Path, process: int) -> list[Change]:
    """What a process changed, in that order, and what it was told of each."""
    found: list[Change] = []
    begun: tuple[str, int, float] | None = None
    for line in lines(folder, process):
        if line[0] in ("begin", "end") and begun is not None:
            found.append(Change(*begun, "unknown"))
            begun = None
        if line[0] == "begin":
            begun = (line[1], line[2], line[3])
        elif line[0] == "done" and begun is not None:
            found.append(Change(*begun, line[1]))
            begun = None
    return found
