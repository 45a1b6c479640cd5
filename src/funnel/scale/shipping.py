"""What goes to another process: values as bytes, contents by their folder, and files as the process finds
them: under the same path where folders are shared, or through a storage by what they hold."""

from __future__ import annotations

import io
import pickle
import weakref
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents, load_contents
from funnel.errors import BundleError
from funnel.recipes import KeptFiles, Output
from funnel.scale.cache import Received
from funnel.scale.location import File, Location
from funnel.scale.storage import Storage

#: Parts of contents that go along as values; all others are those of the folder.
_SMALL = (
    "features", "retrieve", "rerank", "weights", "ranker", "exclude_seen", "encoding", "shown", "heads",
    "head_trees", "propensities", "rules", "rank", "explore", "kinds", "while_served",
)  # fmt: skip

#: What a process keeps ready: works that it made, and folders that it opened. Runs use one after the other.
_WORKS, _FOLDERS = 4, 2

#: What a process wrote: the number of the output, and the file.
Written = tuple[int, File]


class Shipment:
    """A value as bytes for processes of the same versions.

    storage: through which files go; None: these processes see the same folders. apart: whether arrays are
    beside the bytes, so that processes of a machine have them in memory once.
    Raises: BundleError for contents that were made in memory, which no other process could load; what
    `Storage.ref` raises.
    """

    def __init__(self, value: Any, storage: Storage | None = None, *, apart: bool = False) -> None:
        from ray import cloudpickle

        class Pickler(cloudpickle.Pickler):
            def reducer_override(_, value: Any) -> Any:
                reduced = self._reduced(value)
                return super().reducer_override(value) if reduced is None else reduced

        self._storage, self._outputs = storage, list[Path]()
        file, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
        Pickler(file, buffer_callback=buffers.append if apart else None).dump((self, value))
        self.text = file.getvalue()
        self.arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]

    def take(self, written: Iterable[Written]) -> None:
        """Have in its place what a process wrote."""
        for number, file in written:
            assert self._storage is not None
            self._storage.take(file, self._outputs[number])

    def _reduced(self, value: Any) -> tuple[Any, tuple[Any, ...]] | None:
        """What another process makes it from; None where that is as usual."""
        storage = self._storage
        if isinstance(value, Contents):
            folder, small = _about(value)
            if storage is None:
                return _opened, (None, str(folder), small)
            return _opened, (storage.location, storage.ref(folder), small)
        if isinstance(value, Path) and storage is None:  # another process is in another folder
            return Path, (str(value.absolute()),)
        if storage is None:
            return (type(None), ()) if value is self else None
        if value is self:
            return Received, (storage.location,)
        if isinstance(value, Path):
            return Received.path, (self, storage.ref(value))
        if isinstance(value, Output):
            self._outputs.append(value.folder.absolute())
            return Received.output, (self,)
        if isinstance(value, KeptFiles):
            return Received.kept, (self, storage.kept(value.folder.absolute()))
        return None


class Delivered:
    """What a `Shipment` has made, in another process. text: from this program's own driver. arrays: those
    beside it."""

    def __init__(self, text: bytes, arrays: Iterable[NDArray[np.uint8]] = ()) -> None:
        self._received: Received | None
        self._received, self.value = pickle.loads(text, buffers=arrays)  # noqa: S301

    def written(self) -> list[Written]:
        """What was written to outputs since, which is in the storage now."""
        return [] if self._received is None else self._received.written()


@lru_cache(maxsize=_WORKS)
def delivered(text: bytes) -> Delivered:
    """A recipe, whose work is made once in this process."""
    return Delivered(text)


def _about(contents: Contents) -> tuple[Path, dict[str, Any]]:
    """The folder of contents, and what is not as it has it."""
    if contents.loaded is None:
        raise BundleError("contents that were made in memory cannot go to another process: load them")
    folder, loaded = contents.loaded
    for field in fields(contents):
        name = field.name
        if name not in (*_SMALL, "loaded") and getattr(contents, name) is not getattr(loaded, name):
            raise BundleError(f"{name} is not as {folder} has it: no other process could load it")
    return folder.absolute(), {name: getattr(contents, name) for name in _SMALL}


def _opened(location: Location | None, folder: Any, small: dict[str, Any]) -> Contents:
    return replace(_folder(location, folder), **small)


@lru_cache(maxsize=_FOLDERS)
def _folder(location: Location | None, folder: Any) -> Contents:
    """folder: as a path, or as what `Storage.ref` gave."""
    if location is None:
        return load_contents(Path(folder))
    received = Received(location)
    contents = load_contents(received.path(folder))
    assert contents.loaded is not None
    weakref.finalize(contents.loaded[1], received.close)  # all that is made of the contents holds that
    return contents
