"""The file that a process writes its lines of one hour to."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from funnel.impressions.files import new_file


class HourFile:
    """Appends lines to a file of their hour. A file that was left is never taken up again: it may have been
    compacted meanwhile.

    folder: where the files are. written: bytes, of all files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hour: int | None = None
        self.written = 0
        self._file: FileIO | None = None

    def append(self, hour: int, lines: bytes) -> None:
        """Whole lines of one hour. Raises: OSError; the file is then as it was, or is left."""
        if self.hour != hour or not self._is_there():
            self.close()
            self._file, self.hour = new_file(self.folder, hour), hour
        assert self._file is not None
        before = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._undo(before)
            raise
        self.written += len(lines)

    def _undo(self, size: int) -> None:
        """Cut off what was written of lines; where that fails, the file ends in a torn one."""
        assert self._file is not None
        try:
            self._file.truncate(size)
        except OSError:
            self.close()

    def _is_there(self) -> bool:
        """Whether the file is still in its folder: what is written to a removed one is nowhere."""
        if self._file is None:
            return False
        try:
            there, mine = os.stat(self._file.name), os.fstat(self._file.fileno())
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        """Leave the file. The lock is given back by name: the child of a fork has the file as well."""
        if self._file is not None:
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
                self._file.close()
        self._file = self.hour = None
