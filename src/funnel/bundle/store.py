"""A folder of immutable versions, one of which is published.

    with store.writing("movies") as draft:
        ...write files below draft.folder...
        draft.describe(seed=0)
    store.publish(draft.version)

A version appears whole or not at all: files are written to a hidden folder of the store, hashed, fsynced, and
the folder is renamed. `CURRENT` is a file of one line, replaced atomically.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from funnel.bundle import manifest as manifests
from funnel.bundle.manifest import Manifest
from funnel.errors import BundleError

CURRENT = "CURRENT"

_DRAFT = ".draft-"
_ABANDONED_AFTER = 86_400  # seconds after which a killed writer's draft is cleared away


@dataclass
class Draft:
    """A version being written: files go below `folder`; `version` is known once it is finished."""

    folder: Path
    about: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def describe(self, **about: Any) -> None:
        """What the manifest will say; see the fields of `Manifest`."""
        self.about.update(about)


class Store:
    """Versions below a folder; it need not exist until something is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    @contextmanager
    def writing(self, name: str) -> Iterator[Draft]:
        """A draft that becomes the version `<name>-<fingerprint>` when the block ends well.

        Where that version is there already, it is kept. Nothing is left when the block raises.
        Raises: BundleError when the name is no plain file name or the store cannot be written.
        """
        if not name or name != Path(name).name or name.startswith("."):
            raise BundleError(f"{name!r} cannot name a version: a plain name without a path is expected")
        draft = Draft(self._new_draft())
        try:
            yield draft
            draft.version = self._finish(name, draft)
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def versions(self) -> list[Manifest]:
        """The manifests of all versions, newest first."""
        if not self.folder.is_dir():
            return []
        folders = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        found = [Manifest.load(path) for path in folders if (path / manifests.MANIFEST).is_file()]
        return sorted(found, key=lambda one: (one.created, one.version), reverse=True)

    def path(self, version: str) -> Path:
        """The folder of a version. Raises: BundleError naming the versions that there are."""
        folder = self.folder / version
        if version != Path(version).name or version.startswith(".") or not folder.is_dir():
            known = ", ".join(one.version for one in self.versions()[:5]) or "none"
            raise BundleError(f"{self.folder} has no version {version!r}; it has: {known}")
        return folder

    def current(self) -> str:
        """The published version. Raises: BundleError when nothing is published."""
        try:
            version = (self.folder / CURRENT).read_text().strip()
        except OSError as error:
            raise BundleError(
                f"{self.folder}: nothing is published there; "
                "`funnel build` makes a bundle, `funnel publish` serves it"
            ) from error
        if not version:
            raise BundleError(f"{self.folder / CURRENT} is empty; publish a version again")
        self.path(version)
        return version

    def verify(self, version: str) -> Manifest:
        """Check every file against the manifest.

        Raises: BundleError naming a file that is missing, changed, or not of the version.
        """
        folder = self.path(version)
        manifest = Manifest.load(folder)
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        found.pop(manifests.MANIFEST)
        for name, expected in manifest.files.items():
            path = found.pop(name, None)
            if path is None:
                raise BundleError(f"bundle {version}: {name} is missing")
            if path.stat().st_size != expected.bytes or manifests.entry(path) != expected:
                raise BundleError(f"bundle {version}: {name} was changed after it was written")
        if found:
            raise BundleError(f"bundle {version}: {min(found)} does not belong to it")
        if manifests.fingerprint(manifest.files) != manifest.fingerprint or manifest.version != version:
            raise BundleError(f"bundle {version}: {manifests.MANIFEST} was changed after it was written")
        return manifest

    def publish(self, version: str) -> None:
        """Verify a version, then make it the published one, atomically."""
        self.verify(version)
        handle, name = tempfile.mkstemp(prefix=_DRAFT, dir=self.folder)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(f"{version}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(self.folder / CURRENT)
        finally:
            Path(name).unlink(missing_ok=True)
        _sync(self.folder)

    def _new_draft(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clear_abandoned()
            return Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self.folder))
        except OSError as error:
            raise BundleError(f"{self.folder} cannot be written: {error.strerror}") from error

    def _clear_abandoned(self) -> None:
        """Remove what a killed writer left, once it is old enough to be nobody's."""
        for path in self.folder.glob(f"{_DRAFT}*"):
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _finish(self, name: str, draft: Draft) -> str:
        """Hash, describe, sync and rename."""
        files = manifests.hashed(draft.folder)
        fingerprint = manifests.fingerprint(files)
        version = f"{name}-{fingerprint[:12]}"
        Manifest(
            name=name,
            version=version,
            fingerprint=fingerprint,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            files=files,
            libraries=manifests.libraries(),
            **draft.about,
        ).save(draft.folder)
        for path in sorted(draft.folder.rglob("*")):
            _sync(path)
        draft.folder.chmod(0o755)
        try:
            draft.folder.rename(self.folder / version)
        except OSError:
            if not (self.folder / version).is_dir():
                raise
        _sync(self.folder)
        return version


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
