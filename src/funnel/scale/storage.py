"""What the process that runs a command leaves in a storage for its workers, and takes from it."""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from funnel.artifacts import drafts
from funnel.artifacts.remote import opened
from funnel.artifacts.writing import changing
from funnel.errors import BundleError, ConfigError, FunnelError
from funnel.scale.cache import Received, Ref
from funnel.scale.config import ScaleConfig
from funnel.scale.location import KEPT, RUNS, File, Location, reaching
from funnel.values.urls import with_variables

log = logging.getLogger(__name__)

#: Names the folder of a store in the storage.
_ID = ".storage-"


class Storage:
    """A command's side of a `Location`."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._known: dict[tuple[str, int, int, int], File] = {}
        self._there: set[str] = set()

    def ref(self, path: Path) -> Ref:
        """What a file or folder holds now, put into the storage so far as it is not there.

        Names that begin with a dot are left out. Raises: BundleError where nothing is there, FunnelError
        where the storage cannot be written.
        """
        path = path.absolute()
        if path.is_file():
            return path.name, (self._put(path, path.name),), True
        if not path.is_dir():
            raise BundleError(f"{path} is not there, and was to be sent to workers")
        names = sorted(each.relative_to(path) for each in path.rglob("*") if each.is_file())
        seen = [name for name in names if not any(part.startswith(".") for part in name.parts)]
        return path.name, tuple(self._put(path / name, name.as_posix()) for name in seen), False

    def _put(self, path: Path, name: str) -> File:
        status = path.stat()
        about = str(path), status.st_ino, status.st_size, status.st_mtime_ns
        file = self._known.get(about) or File.of(path, name)
        self._known[about] = file
        if file.sha256 not in self._there:
            self.location.put(path, file)
            self._there.add(file.sha256)
        return File(name, file.sha256, file.bytes, file.modified)

    def kept(self, folder: Path) -> str:
        """How workers name a folder of `KeptFiles`. What is kept for it stays as long as it is there: of one
        that is not, nothing is kept any more. Raises: FunnelError where the storage cannot be written."""
        if not folder.is_dir():
            with reaching(self.location.storage, "written"):
                system, root = opened(f"{self.location.kept}{folder}")
                for path in system.find(root):
                    system.rm_file(path)
            folder.mkdir(parents=True)
        return str(folder)

    def take(self, file: File, folder: Path) -> None:
        """Copy into a folder what a worker wrote. Raises: FunnelError where it cannot be read."""
        self._there.add(file.sha256)
        self.location.get(file, folder / file.name)


@contextmanager
def stored(config: ScaleConfig, folders: Sequence[Path]) -> Iterator[Storage]:
    """The storage for the block, after which nothing is left in it but what a run that failed is to go on
    from. folders: the stores; the first one remembers which folder of the storage is theirs.

    What commands left there that were killed is removed. Raises: ConfigError where it cannot be written.
    """
    url = with_variables(config.storage).rstrip("/")
    with tempfile.TemporaryDirectory() as temporary:
        store = folders[0].absolute() if folders else Path(temporary)
        with changing(store):
            store.mkdir(parents=True, exist_ok=True)
            drafts.clear(store)
        with drafts.new_file(store) as mark:  # as long as it is locked the command is at work
            location = Location(url, _id(store), mark.name, config.cache, int(config.cache_gib * 2**30))
            with _usable():
                _remove_left(location, store)
            try:
                yield Storage(location)
            finally:
                mark.unlink(missing_ok=True)
                try:
                    _remove_left(location, store)
                except FunnelError as error:
                    log.warning("%s; what this run left there is removed by the next", error)


def sent_mark(storage: Storage) -> File:
    """A file for workers to look for. Raises: ConfigError where it cannot be put into the storage."""
    with tempfile.NamedTemporaryFile() as file, _usable():
        file.write(uuid.uuid4().bytes)
        file.flush()
        return storage.ref(Path(file.name))[1][0]


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except FunnelError as error:
        raise ConfigError(f"scale.storage cannot be used: {error}") from error


def looked(location: Location, mark: File) -> str:
    """On a worker: what is wrong with the storage as it sees it; "" where it gets what was put there, and can
    put something there itself."""
    received = Received(location)
    try:
        own = received.folder() / "own"
        location.get(mark, own.with_name("mark"))
        own.write_bytes(uuid.uuid4().bytes)
        location.put(own, File.of(own, "own"))
    except FunnelError as error:
        return str(error)
    return ""


def _id(store: Path) -> str:
    """Of a store, wherever it is mounted, and of no copy of it."""
    with changing(store):
        names = sorted(path.name for path in store.glob(f"{_ID}*")) or [f"{_ID}{uuid.uuid4().hex}"]
        (store / names[0]).touch()
        return f"{names[0].removeprefix(_ID)}-{store.stat().st_ino:x}"


def _remove_left(location: Location, store: Path) -> None:
    """Remove what commands left that are no more, and what was kept for folders that are no more."""
    with reaching(location.storage, "written"):
        system, root = opened(f"{location.storage}/{location.own}")
        for run in _names(system, f"{root}/{RUNS}"):
            if not (store / run).exists():
                system.rm(f"{root}/{RUNS}/{run}", recursive=True)
        for path in system.find(f"{root}/{KEPT}"):
            if not Path(str(path).removeprefix(f"{root}/{KEPT}")).parent.is_dir():
                system.rm_file(path)
        if system.exists(root) and not system.find(root):
            with suppress(FileNotFoundError):
                system.rm(root, recursive=True)


def _names(system: Any, folder: str) -> list[str]:
    if not system.exists(folder):
        return []
    return [str(path).rstrip("/").rpartition("/")[2] for path in system.ls(folder, detail=False)]
