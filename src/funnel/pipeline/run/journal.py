"""The log of runs: one JSON line for each step that began, ended or failed; lines are only ever added."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from funnel.settings import Settings

JOURNAL = "RUNS.jsonl"


class Entry(Settings):
    """A step that began, ended or failed.

    run: the run's moment and process. at: UTC, ISO 8601. why: the reason for running the step. seconds: its
    duration. bytes: of what it wrote. facts: its figures, such as data windows. error: why it failed. A step
    that began and neither ended nor failed was killed.
    """

    run: str
    at: str
    config: str
    step: str
    event: Literal["began", "ended", "failed"]
    why: str = ""
    seconds: float = 0.0
    bytes: int = 0
    output: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)
    error: str = ""


def append(folder: Path, entry: Entry) -> None:
    """Add a line and flush it to disk. Half a line, left by a run that was killed, is ended first."""
    path = folder / JOURNAL
    with path.open("ab+") as file:
        if file.tell() and _last_byte(file) != b"\n":
            file.write(b"\n")
        file.write(entry.model_dump_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def entries(folder: Path) -> list[Entry]:
    """Every whole line, oldest first."""
    whole = []
    path = folder / JOURNAL
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            whole.append(Entry.model_validate_json(line))
        except ValidationError:  # cut off by a kill
            continue
    return whole


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    last: bytes = file.read(1)
    return last
