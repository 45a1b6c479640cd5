"""A folder of immutable versions, one of which is published.

    with store.writing("movies") as draft:
        ...write files below draft.folder...
        draft.describe(seed=0)
    store.publish(draft.version)

A version appears whole or not at all: files are written to a hidden folder of the store, hashed, fsynced, and
the folder is renamed. `CURRENT` is a file of one line, replaced atomically.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from funnel.bundle import drafts
from funnel.bundle import manifest as manifests
from funnel.bundle.manifest import Manifest
from funnel.errors import BundleError

log = logging.getLogger(__name__)

CURRENT = "CURRENT"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @contextmanager
    def writing(self, name: str) -> Iterator[Draft]:
        """A draft that becomes the version `<name>-<fingerprint>` when the block ends well.

        Where that version is there already, it is kept, unless it is damaged: then the draft takes its place.
        Nothing is left when the block raises. Files that are to decide the version must be below the draft's
        folder: what is only said in the manifest does not.
        Raises: BundleError when the name is no plain file name or the store cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise BundleError(
                f"{name!r} cannot name a version: letters, digits, '.', '_' and '-' are expected, and no path"
            )
        draft = Draft(self._new_draft())
        try:
            yield draft
            with self._changing():
                draft.version = self._finish(name, draft)
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)

    def versions(self) -> list[Manifest]:
        """The manifests of all versions, newest first; one that cannot be read is left out, and logged."""
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if not path.name.startswith(".") and (path / manifests.MANIFEST).is_file():
                try:
                    found.append(Manifest.load(path))
                except BundleError as error:
                    log.warning("left out: %s", error)
        return sorted(found, key=lambda one: (one.created, one.version), reverse=True)

    def path(self, version: str) -> Path:
        """The folder of a version, or of the published one for "current".

        Raises: BundleError naming the versions that there are.
        """
        if version == "current":
            version = self.current()
        folder = self.folder / version
        if not _NAME.fullmatch(version) or not folder.is_dir():
            known = ", ".join(one.version for one in self.versions()[:5]) or "none"
            raise BundleError(f"{self.folder} has no version {version!r}; it has: {known}")
        return folder

    def current(self) -> str:
        """The published version. Raises: BundleError when nothing is published, or it is not there."""
        try:
            version = (self.folder / CURRENT).read_text(errors="replace").strip()
        except OSError as error:
            raise BundleError(
                f"{self.folder}: nothing is published there; "
                "`funnel build` makes a bundle, `funnel publish` serves it"
            ) from error
        if not version:
            raise BundleError(f"{self.folder / CURRENT} is empty; publish a version again")
        if not _NAME.fullmatch(version) or not (self.folder / version).is_dir():
            raise BundleError(
                f"{self.folder / CURRENT} names {version!r}, which is not there; publish another version"
            )
        return version

    def verify(self, version: str) -> Manifest:
        """Check every file against the manifest; "current" is the published version.

        Raises: BundleError naming a file that is missing, changed, or not of the version.
        """
        folder = self.path(version)
        version = folder.name
        manifest = Manifest.load(folder)
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        found.pop(manifests.MANIFEST)
        for name, expected in manifest.files.items():
            path = found.pop(name, None)
            if path is None:
                raise BundleError(f"bundle {version}: {name} is missing")
            if manifests.entry(path) != expected:
                raise BundleError(f"bundle {version}: {name} was changed after it was written")
        if found:
            raise BundleError(f"bundle {version}: {min(found)} does not belong to it")
        said = manifest.checksum, manifest.fingerprint, manifest.version
        if said != (manifest.summed(), manifests.fingerprint(manifest.files), version):
            raise BundleError(f"bundle {version}: {manifests.MANIFEST} was changed after it was written")
        return manifest

    def publish(self, version: str) -> None:
        """Verify a version, then make it the published one, atomically.

        Raises: BundleError when it does not verify or the store cannot be written; what was published stays.
        """
        version = self.verify(version).version
        with self._changing():
            handle, name = tempfile.mkstemp(prefix=drafts.prefix(), dir=self.folder)
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

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What the system refuses, as an error for people."""
        try:
            yield
        except OSError as error:
            raise BundleError(f"{self.folder} cannot be written: {error.strerror}") from error

    def _new_draft(self) -> Path:
        with self._changing():
            self.folder.mkdir(parents=True, exist_ok=True)
            drafts.clear(self.folder)
            return drafts.new(self.folder)

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
        for path in [*sorted(draft.folder.rglob("*")), draft.folder]:
            _sync(path)
        draft.folder.chmod(0o755)
        try:
            draft.folder.rename(self.folder / version)
        except OSError:
            if not (self.folder / version).is_dir():
                raise
            if not self._verified(version):
                self._take_away(version)
                draft.folder.rename(self.folder / version)
        _sync(self.folder)
        return version

    def _verified(self, version: str) -> bool:
        try:
            self.verify(version)
        except BundleError:
            return False
        return True

    def _take_away(self, version: str) -> None:
        """Remove a damaged version in one step."""
        aside = drafts.new(self.folder)
        (self.folder / version).rename(aside / version)
        shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
