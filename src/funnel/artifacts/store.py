"""A folder of immutable versions, one of which is published.

    with store.writing("movies") as draft:
        ...write files below draft.folder...
        draft.describe(seed=0)
    store.publish(draft.version)

A version appears whole or not at all: files are written to a hidden folder of the store, hashed, fsynced, and
the folder is renamed. `CURRENT` is a file of one line, replaced atomically; earlier versions are in the
history of publications.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from funnel.artifacts import manifest as manifests
from funnel.artifacts import verify
from funnel.artifacts.history import History, Publication, appended, served
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.signing import Trust, signed
from funnel.artifacts.writing import (
    Draft,
    changing,
    describe,
    drafting,
    move_into,
    replace_line,
    write_signatures,
)
from funnel.errors import BundleError, FunnelError
from funnel.values.shown import shown

log = logging.getLogger(__name__)

CURRENT = "CURRENT"

#: What may name a version.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Store:
    """Versions below a folder; it need not exist until something is written.

    trust: public keys, as `funnel sign --new` prints them: what none of them signed does not verify, so it is
    neither published, copied from elsewhere nor served. Empty: signatures are not looked at.
    Raises: FunnelError when folder is no path, or where the extra `sign` is not installed; ConfigError for
    what is no key.
    """

    def __init__(self, folder: str | Path, trust: Collection[str] = ()) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise FunnelError(f"the folder of a store is {shown(folder)}; it must be a path or a text")
        self.folder = Path(folder)
        self._trust = Trust(trust) if trust else None

    @classmethod
    def of(cls, given: Store | str | Path) -> Store:
        """The store as it is given, or that of a folder, which then trusts every key. Raises: as a store."""
        return given if isinstance(given, Store) else cls(given)

    @property
    def trust(self) -> tuple[str, ...]:
        """The keys that are trusted."""
        return () if self._trust is None else tuple(self._trust.keys)

    def sign(self, version: str, key: Path) -> str:
        """Verify a version and add a signature to it; the public key. key: the file of a private key.

        Raises: BundleError when it does not verify or cannot be written; ConfigError for what is no key.
        """
        folder = self.path(version)
        signatures = signed(folder, verify.check(folder, folder.name), key)
        write_signatures(folder, signatures)
        return signatures[-1].key

    @contextmanager
    def writing(self, name: str) -> Iterator[Draft]:
        """A draft that becomes the version `<name>-<fingerprint>` when the block ends well.

        Where that version is there already, it is kept, unless it is damaged: then the draft replaces it.
        Nothing is left when the block raises. The version's fingerprint is of the files below the
        draft's folder; what is only in the manifest does not change it.
        Raises: BundleError when the name is no plain file name, the store cannot be written or is full.
        """
        if not NAME.fullmatch(name):
            raise BundleError(
                f"{name!r} cannot name a version: letters, digits, '.', '_' and '-' are expected, and no path"
            )
        with drafting(self.folder) as draft:
            yield draft
            with changing(self.folder):
                describe(draft, name, self._now())
                move_into(draft, self.folder)

    @contextmanager
    def copying(self, version: str) -> Iterator[Draft]:
        """A draft for a copy of this version, which it becomes when the block ends well with files and
        manifest.

        Raises: BundleError naming a file that is not what the manifest says, or as `writing` does.
        """
        with drafting(self.folder) as draft:
            yield draft
            draft.version = verify.check(draft.folder, version, trust=self._trust).version
            with changing(self.folder):
                move_into(draft, self.folder)

    def check_signature(self, folder: Path) -> None:
        """Raises: BundleError where keys are trusted and none of them signed the manifest in a folder."""
        if self._trust is not None:
            self._trust.check(folder, Manifest.load(folder))

    def versions(self) -> list[Manifest]:
        """The manifests of all versions, newest first; one that cannot be read is left out, and logged."""
        manifests_read = []
        for path in self.folders():
            try:
                manifests_read.append(Manifest.load(path))
            except BundleError as error:
                log.warning("left out: %s", error)
        return sorted(manifests_read, key=lambda manifest: (manifest.created, manifest.version), reverse=True)

    def folders(self) -> list[Path]:
        """The folders of all versions, in no order."""
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        return [
            path for path in there if not path.name.startswith(".") and (path / manifests.MANIFEST).is_file()
        ]

    def path(self, version: str) -> Path:
        """The folder of a version; of the published one for "current", of the one before it for "previous".

        Raises: BundleError naming the versions that there are.
        """
        if version == "current":
            version = self.current()
        if version == "previous":
            version = self._previous()
        named = isinstance(version, str) and NAME.fullmatch(version)
        if not named or not (self.folder / version).is_dir():
            names = ", ".join(manifest.version for manifest in self.versions()[:5]) or "none"
            raise BundleError(f"{self.folder} has no version {shown(version)}; it has: {names}")
        return self.folder / version

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
        if not NAME.fullmatch(version) or not (self.folder / version).is_dir():
            raise BundleError(
                f"{self.folder / CURRENT} names {version!r}, which is not there; publish another version"
            )
        return version

    def verify(self, version: str, *, reports: bool = True) -> Manifest:
        """Check every file against the manifest; "current" is the published version.

        reports: False leaves out the reports, which decide no answer.
        Raises: BundleError naming a file that is missing, changed, or not of the version.
        """
        folder = self.path(version)
        return verify.check(folder, folder.name, reports=reports, trust=self._trust)

    def publications(self) -> list[Publication]:
        """Everything that was published, oldest first."""
        return self._history.publications(self.published())

    def recorded(self) -> list[Publication]:
        """The same, with the last record even if it is not known to have taken effect."""
        return self._history.recorded()

    def was_used(self) -> bool:
        """Whether anything was ever published here, as far as the files show."""
        return (self.folder / CURRENT).exists() or self._history.begun()

    def anchor(self) -> str | None:
        """The version that every bundle is compared with, whatever was published since: small falls add up.

        The one that was last given to `set_anchor`, else the first that was published and is still there.
        """
        return self._history.anchor() or next(
            (version for version in served(self.recorded()) if (self.folder / version).is_dir()), None
        )

    def set_anchor(self, version: str) -> str:
        """Compare every later bundle with this version, which is kept. Returns the version.

        Raises: BundleError when it does not verify or the store cannot be written.
        """
        version = self.verify(version).version
        with changing(self.folder), self._history.locked() as history:
            self.path(version)  # no one has removed it since it was verified
            record = Publication(action="anchor", version=version, replaced="", at=_second())
            with appended(history, record):
                return version

    def previous(self) -> str | None:
        """The version that a rollback would serve: the last that was served before and is still there."""
        current = self.published()
        line = [version for version in served(self.publications()) if version != current]
        return next((version for version in reversed(line) if (self.folder / version).is_dir()), None)

    def publish(
        self,
        version: str,
        *,
        instead_of: str | None = "",
        forced: bool = False,
        gates: Collection[dict[str, JsonValue]] = (),
    ) -> None:
        """Verify a version, then make it the published one, atomically; one publisher after the other.

        instead_of: the version that must be the published one until then, None for nothing; the default is
        whatever it is. forced, gates: for the history, see `Publication`.
        Raises: BundleError when it does not verify, when another version than `instead_of` was published in
        the meantime, or when the store cannot be written; what was published stays.
        """
        version = self.verify(version).version
        with changing(self.folder), self._history.locked() as history:
            current = self.published()
            if instead_of not in ("", current):
                raise BundleError(
                    f"{self.folder}: {current or 'nothing'} is published now and was not when {version} was "
                    "judged; publish again, so that it is judged beside that"
                )
            self._serve(history, "publish", version, forced=forced, gates=tuple(gates))

    def rollback(
        self,
        version: str | None = None,
        *,
        forced: bool = False,
        gates: Collection[dict[str, JsonValue]] = (),
    ) -> str:
        """Publish again what was published before; the version. Going back twice goes further back.

        version: another one that was published before. forced, gates: for the history, see `Publication`.
        Raises: BundleError when there is nothing to go back to, or it does not verify.
        """
        current = self.current()
        if version is None:
            version = self._previous()
        elif version not in (before := served(self.recorded())):
            raise BundleError(
                f"{self.folder}: {version!r} was never published; these were: {', '.join(before[-5:])}"
            )
        self.verify(version)
        with changing(self.folder), self._history.locked() as history:
            if self.published() != current:
                raise BundleError(f"{self.folder}: another version than {current} has just been published")
            self._serve(history, "rollback", version, forced=forced, gates=tuple(gates))
        return version

    def _previous(self) -> str:
        version = self.previous()
        if version is None:
            current = self.current()
            raise BundleError(f"{self.folder}: nothing that is still there was published before {current}")
        return version

    @property
    def _history(self) -> History:
        return History(self.folder)

    def published(self) -> str | None:
        """`current`, or None where that raises."""
        try:
            return self.current()
        except BundleError:
            return None

    def _serve(
        self, history: FileIO, action: Literal["publish", "rollback"], version: str, **about: Any
    ) -> None:
        """Record a publication and replace CURRENT, with the lock held."""
        self.path(version)  # no one has removed it since it was verified
        current = self.published()
        if version == current:
            replace_line(self.folder / CURRENT, version)
            return
        record = Publication(action=action, version=version, replaced=current or "", at=_second(), **about)
        with appended(history, record):
            replace_line(self.folder / CURRENT, version)

    def _now(self) -> str:
        """The time; just after the newest version's where the clock has gone back, so that order is kept."""
        now = datetime.now(UTC)
        for newest in self.versions()[:1]:
            now = max(now, datetime.fromisoformat(newest.created) + timedelta(microseconds=1))
        return now.isoformat(timespec="microseconds")


def _second() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
