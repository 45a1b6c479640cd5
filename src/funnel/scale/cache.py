"""Files that a machine of a cluster has had from the storage, by what they hold."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path

from funnel.artifacts import drafts
from funnel.compiling import own_cache
from funnel.recipes import Output
from funnel.scale.location import File, Location, StoredFiles, reaching

_DIGEST = re.compile("[0-9a-f]{64}")

#: A file or a folder that is sent: its name, the files in it, and whether it is one itself.
Ref = tuple[str, tuple[File, ...], bool]


class Received:
    """What one process was sent: folders of its own, as they are where they came from, for as long as this
    is there. Files in them are links to those that the machine has once.

    outputs: folders that work here writes to, by their numbers.
    """

    def __init__(self, location: Location) -> None:
        self._location, self._folders = location, 0
        self.outputs: list[Path] = []
        self._cache, self._stack = cache_folder(location), ExitStack()
        self.close = weakref.finalize(self, self._stack.close)

    @cached_property
    def _home(self) -> Path:
        with reaching(self._location.storage, "read"):
            self._cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            drafts.clear(self._cache)
            return self._stack.enter_context(drafts.new_folder(self._cache))

    def path(self, ref: Ref) -> Path:
        """A file or folder as it is where it came from. Raises: FunnelError where it cannot be had."""
        name, files, alone = ref
        folder = self.folder() if alone else self.folder() / name
        folder.mkdir(exist_ok=True)
        for file in files:
            self._link(file, folder / file.name)
        return folder / name if alone else folder

    def folder(self) -> Path:
        """A new one, empty."""
        self._folders += 1
        folder = self._home / str(self._folders)
        folder.mkdir()
        return folder

    def output(self) -> Output:
        """The next of those that work writes to."""
        self.outputs.append(self.folder())
        return Output(self.outputs[-1])

    def kept(self, folder: str) -> StoredFiles:
        """What processes keep in a folder of the command. folder: its absolute path there."""
        return StoredFiles(self.folder(), f"{self._location.kept}{folder}")

    def written(self) -> list[tuple[int, File]]:
        """What the work has written since, put into the storage: the number of its output, and the file."""
        written = []
        for number, folder in enumerate(self.outputs):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                file = File.of(path, path.relative_to(folder).as_posix())
                self._location.put(path, file)
                path.replace(self._cache / file.sha256)  # who needs it next may be this machine
                written.append((number, file))
        if written:
            self._trim()
        return written

    def _link(self, file: File, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        cached = self._cache / file.sha256
        with reaching(self._location.storage, "read"), self._alone(file):
            try:
                os.link(cached, target)
            except FileNotFoundError:
                self._location.get(file, target)
                os.link(target, cached)
                self._trim()
            os.utime(target, ns=(time.time_ns(), file.modified))

    @contextmanager
    def _alone(self, file: File) -> Iterator[None]:
        """One process of a machine fetches a file, the others wait for it."""
        with (self._cache / f".lock-{file.sha256[0]}").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _trim(self) -> None:
        """Remove what was used longest ago and is not now, until the rest is small enough."""
        about = []
        for path in self._cache.iterdir():
            with suppress(FileNotFoundError):  # another process has just removed it
                if _DIGEST.fullmatch(path.name):
                    about.append((path.stat(), path))
        total = sum(status.st_size for status, _ in about)
        for status, path in sorted(about, key=lambda each: each[0].st_atime_ns):
            if total > self._location.most_bytes and status.st_nlink == 1:
                path.unlink(missing_ok=True)
                total -= status.st_size


def cache_folder(location: Location) -> Path:
    """Of this machine: the one that the config names, or one of the user's own."""
    if location.cache:
        return Path(location.cache)
    own = own_cache()
    return Path(tempfile.gettempdir()) / f"funnel-{os.geteuid()}" if own is None else own / "scale"
