"""A write-ahead log: what was said is on disk before it is acknowledged.

One record a line, `<digest> <JSON>`. A digest covers its record and the digest before it (BLAKE2b, 8 bytes),
so that a changed, lost or moved record is found, wherever it is. A last line without its end was being
written when the process died: it was never acknowledged, and is dropped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from funnel.bundle.writing import changing, sync
from funnel.errors import BundleError

log = logging.getLogger(__name__)

FORMAT = 1


class Journal:
    """A file of records. Reading needs no right to write; the first `append` makes this process the writer.

    kind: what is in it, as its first line says. synced: whether `append` returns only when the disk has the
    record, so that it also survives a power cut; else it survives the end of the process.
    """

    def __init__(self, path: Path, kind: str, *, synced: bool) -> None:
        self.path, self._kind, self._synced = path, kind, synced
        self._file: IO[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._digest, self._size = "", 0

    def read(self) -> list[Any]:
        """Every record, oldest first; none where there is no file.

        Raises: BundleError naming the file and the byte where it is damaged, or when it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                records = list(self._records(file))
        except FileNotFoundError:
            self._digest, self._size = "", 0
            return []
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read: {error.strerror}") from error
        header = records[0] if records else {}
        if records and (not isinstance(header, dict) or header.get("funnel") != self._kind):
            raise BundleError(f"{self.path} is no record of {self._kind}")
        if header.get("format", FORMAT) > FORMAT:
            raise BundleError(f"{self.path} was written by a newer funnel; upgrade funnel to read it")
        return records[1:]

    def _records(self, file: IO[bytes]) -> Iterable[Any]:
        self._digest, self._size = "", 0
        for line in file:
            if not line.endswith(b"\n"):
                log.warning("%s: dropped a last record that was not finished", self.path)
                return
            digest, _, payload = line[:-1].partition(b" ")
            if digest.decode(errors="replace") != _digest(self._digest, payload):
                raise BundleError(
                    f"{self.path} is damaged at byte {self._size}: a record there is not what was "
                    "written, or one before it is missing; restore the file, or remove it to serve "
                    "the bundle as it was built"
                )
            yield json.loads(payload)
            self._digest, self._size = digest.decode(), self._size + len(line)

    @property
    def writing(self) -> bool:
        """Whether this process is the writer."""
        return self._file is not None

    def open(self) -> list[Any]:
        """Become the writer; every record that is there by now.

        Raises: BundleError when another process is, when the place cannot be written, or as `read` does.
        """
        with changing(self.path.parent):
            self.path.parent.mkdir(exist_ok=True)
            lock = self.path.with_suffix(".lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise BundleError(
                    f"{self.path}: another process, or another Live, is writing there"
                ) from None
            records = self.read()
            file = self.path.open("ab")
            file.truncate(self._size)
            self._file, self._lock = file, lock
            sync(self.path.parent)
        if self._size == 0:
            self.append({"funnel": self._kind, "format": FORMAT})
        return records

    def append(self, *records: Any) -> None:
        """Add records, all or none. Raises: BundleError when they cannot be written; nothing was changed."""
        assert self._file is not None, "open it first"
        lines, digest = _lines(records, self._digest)
        try:
            self._file.write(lines)
            self._file.flush()
            if self._synced:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._undo()
            raise BundleError(
                f"{self.path} cannot be written: {error.strerror}; nothing was changed"
            ) from error
        self._digest, self._size = digest, self._size + len(lines)

    def _undo(self) -> None:
        """Take back what may have been written; where even that fails, the next writer finds it."""
        file, lock = self._file, self._lock
        self._file = self._lock = None
        try:
            os.truncate(self.path, self._size)
        except OSError as error:
            log.error("%s: a record that was refused may be in it: %s", self.path, error)
        for part in (file, lock):
            try:
                assert part is not None
                part.close()
            except OSError:
                continue  # what it had buffered could not be written, which is what is being undone

    def rewrite(self, records: Iterable[Any]) -> None:
        """Replace all records, in one step. Raises: BundleError as `append` does."""
        assert self._file is not None, "open it first"
        lines, digest = _lines([{"funnel": self._kind, "format": FORMAT}, *records], "")
        aside = self.path.with_suffix(".new")
        with changing(self.path):
            with aside.open("wb") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
            sync(self.path.parent)
            self._file.close()
            self._file = self.path.open("ab")
        self._digest, self._size = digest, len(lines)

    def close(self) -> None:
        """Let another process write."""
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None


def _digest(before: str, payload: bytes) -> str:
    return hashlib.blake2b(before.encode() + payload, digest_size=8).hexdigest()


def _lines(records: Iterable[Any], digest: str) -> tuple[bytes, str]:
    """Records as lines, and the digest of the last."""
    lines = []
    for record in records:
        payload = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        digest = _digest(digest, payload)
        lines.append(digest.encode() + b" " + payload + b"\n")
    return b"".join(lines), digest
