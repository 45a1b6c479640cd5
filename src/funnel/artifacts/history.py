"""What was published, when, and what was served before: one line a publication, only appended to.

Publishers hold a lock on this file, one at a time; the kernel releases it when one is killed. A record is
written before `CURRENT` is, so that none is ever missing; one whose publisher died in between had no effect,
and is recognised by what came next: the following record, or `CURRENT`, does not name it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, ValidationError

from funnel.settings import Settings

log = logging.getLogger(__name__)

HISTORY = "PUBLICATIONS.jsonl"


class Publication(Settings):
    """One change of what is served, or of the anchor that bundles are judged beside.

    at: UTC, ISO 8601, by the publisher's clock; the order is that of the file. replaced: the version that was
    served until then, empty for the first. forced: whether gates that did not pass were overruled.
    gates: the findings of the gates; empty where none was run.
    """

    action: Literal["publish", "rollback", "anchor"]
    version: str
    replaced: str
    at: str
    forced: bool = False
    gates: tuple[dict[str, JsonValue], ...] = ()


class History:
    """The publications of a store's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY

    def publications(self, current: str | None) -> list[Publication]:
        """Those that took effect, oldest first. current: what is served now; None for nothing."""
        read = self._changes()
        if not read:
            return []
        after = [*(record.replaced for record in read[1:]), current]
        return [
            record for record, next_version in zip(read, after, strict=True) if record.version == next_version
        ]

    def recorded(self) -> list[Publication]:
        """Those that took effect, and the last record, whether or not it took effect."""
        read = self._changes()
        return self.publications(read[-1].version) if read else []

    def anchor(self) -> str | None:
        """The version that was last made the anchor by hand; None where none was."""
        set_by_hand = [record.version for record in self._read() if record.action == "anchor"]
        return set_by_hand[-1] if set_by_hand else None

    def begun(self) -> bool:
        """Whether there is a record, even one that cannot be read."""
        try:
            return self._path.stat().st_size > 0
        except FileNotFoundError:
            return False

    @contextmanager
    def locked(self) -> Iterator[FileIO]:
        """Wait until no one else is publishing; the file, at whose end `appended` writes.

        Raises: OSError when the store cannot be written.
        """
        with self._path.open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _changes(self) -> list[Publication]:
        """The records of publications and rollbacks, without those of anchors."""
        return [record for record in self._read() if record.action != "anchor"]

    def _read(self) -> list[Publication]:
        """Every whole line; one that is damaged is left out, and logged."""
        try:
            lines = self._path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(Publication.model_validate_json(line))
            except ValidationError:
                log.warning("%s: line %d is damaged and left out", self._path, number)
        return records


@contextmanager
def appended(file: FileIO, publication: Publication) -> Iterator[None]:
    """Append a record durably before the block; remove it when it cannot be written or the block raises
    OSError.

    Raises: OSError; the file is then as it was.
    """
    file.seek(0)
    before = file.read().rfind(b"\n") + 1  # what follows the last line end, a killed writer left
    file.truncate(before)
    try:
        line = publication.model_dump_json().encode() + b"\n"
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
        yield
    except OSError:
        file.truncate(before)
        raise


def served(publications: Sequence[Publication]) -> list[str]:
    """The versions to go back to, oldest first; the last is the one that is served.

    What was rolled back is not among them: going back twice goes further back, and never forward.
    """
    line: list[str] = []
    for record in publications:
        if record.action == "rollback" and record.version in line:
            del line[len(line) - line[::-1].index(record.version) :]
            continue
        for version in (record.replaced, record.version):
            if version and line[-1:] != [version]:
                line.append(version)
    return line
