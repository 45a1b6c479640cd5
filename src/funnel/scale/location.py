"""Files by what they hold, in a storage that all processes of a cluster reach and none has as a folder."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funnel.artifacts.manifest import entry
from funnel.artifacts.remote import opened, put_file
from funnel.artifacts.room import no_room, reason
from funnel.errors import FunnelError
from funnel.recipes import KeptFiles
from funnel.values.urls import scrubbed, without_password

#: Folders of a storage, below one for each store: of commands that are at work, and of what they keep.
RUNS, KEPT = "runs", "kept"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a folder. name: its path below it. modified: when it was written, in ns."""

    name: str
    sha256: str
    bytes: int
    modified: int

    @classmethod
    def of(cls, path: Path, name: str) -> File:
        """Read it once. Raises: BundleError where it cannot be read."""
        about = entry(path)
        return cls(name, about.sha256, about.bytes, path.stat().st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Location:
    """Where processes of a cluster leave files for each other.

    storage: its URL. own: the name of the store's folder in it. run: of a folder of that for one command,
    with what goes from process to process. cache: a folder of each machine; empty: one of the user's own.
    most_bytes: of files in the cache that nobody uses.
    """

    storage: str
    own: str
    run: str
    cache: str
    most_bytes: int

    @property
    def files(self) -> str:
        """The URL of what goes from process to process."""
        return f"{self.storage}/{self.own}/{RUNS}/{self.run}"

    @property
    def kept(self) -> str:
        """The URL of what stays for the command that goes on after this one."""
        return f"{self.storage}/{self.own}/{KEPT}"

    def put(self, path: Path, file: File) -> None:
        """Copy a file there, unless it is there whole. Raises: FunnelError where it cannot be written."""
        with reaching(self.storage, "written"):
            system, root = opened(self.files)
            target = f"{root}/{file.sha256}"
            if not system.exists(target) or system.size(target) != file.bytes:
                put_file(system, path, target)

    def get(self, file: File, target: Path) -> None:
        """Copy it from there, whole or not at all. Raises: FunnelError where it cannot be read, or does not
        hold what was put there."""
        with reaching(self.storage, "read"):
            system, root = opened(self.files)
            fetch(system, f"{root}/{file.sha256}", file.sha256, target)
            os.utime(target, ns=(file.modified, file.modified))


def fetch(system: Any, source: str, sha256: str, target: Path) -> None:
    """Copy one file, written beside its name first. Raises: FunnelError where it does not hold what it
    should; what the file system raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{uuid.uuid4().hex}")
    try:
        system.get_file(source, str(hidden))
        if entry(hidden).sha256 != sha256:
            raise FunnelError(
                f"{without_password(str(source))} is damaged: it does not hold what was put there; run again"
            )
        hidden.replace(target)
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def reaching(url: str, done: str) -> Iterator[None]:
    """Turns what goes wrong with a storage into a FunnelError that names it and this machine."""
    try:
        yield
    except FunnelError:
        raise
    except Exception as error:  # each file system has its own
        if no_room(error):
            raise FunnelError(f"{platform.node()} has no room for what is {done}: {reason(error)}") from error
        raise FunnelError(
            f"the storage {without_password(url)} cannot be {done} on {platform.node()}: "
            f"{scrubbed(repr(error), url)}"
        ) from error


@dataclass(frozen=True, slots=True)
class StoredFiles(KeptFiles):
    """KeptFiles in a storage: a file's name there ends in the digest of what it holds.

    folder: of this process alone. url: of the files.
    """

    url: str

    def names(self) -> list[str]:
        """See `KeptFiles`. Raises: FunnelError where the storage cannot be read."""
        with reaching(self.url, "read"):
            return sorted({name.rpartition(".")[0] for name in self._files()[2]})

    def keep(self, name: str) -> None:
        """See `KeptFiles`."""
        path = self.folder / name
        with _as_os_error():
            digest = entry(path).sha256
            system, root, _ = self._files()
            put_file(system, path, f"{root}/{name}.{digest}")
            self._remove(name, but=digest)
        path.unlink()

    def get(self, name: str) -> Path:
        """See `KeptFiles`."""
        with _as_os_error():
            system, root, files = self._files()
            there = next(file for file in files if file.rpartition(".")[0] == name)
            fetch(system, f"{root}/{there}", there.rpartition(".")[2], self.folder / name)
        return self.folder / name

    def remove(self, name: str) -> None:
        """See `KeptFiles`."""
        with reaching(self.url, "written"):
            self._remove(name)

    def _remove(self, name: str, but: str = "") -> None:
        system, root, files = self._files()
        for file in files:
            if file.rpartition(".")[0] == name and file.rpartition(".")[2] != but:
                system.rm_file(f"{root}/{file}")

    def _files(self) -> tuple[Any, str, list[str]]:
        """The file system, the folder, and the names there."""
        system, root = opened(self.url)
        there = system.ls(root, detail=False) if system.exists(root) else []
        return system, root, [str(path).rpartition("/")[2] for path in there]


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Whoever keeps or gets a file goes on without it."""
    try:
        yield
    except Exception as error:  # each file system has its own
        raise OSError(f"{error!r}") from error
