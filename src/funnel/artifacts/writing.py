"""A version while it is written: a hidden folder that gets its name last, or goes away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from funnel.artifacts import drafts, verify
from funnel.artifacts import manifest as manifests
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.room import no_room, reason
from funnel.artifacts.signing import Signature, as_text, read, united
from funnel.errors import BundleError


@dataclass
class Draft:
    """A version being written: files go below `folder`; `version` is known once it is finished."""

    folder: Path
    about: dict[str, Any] = field(default_factory=dict)
    version: str = ""

    def describe(self, **about: Any) -> None:
        """Fields of the manifest, see `Manifest`; kept until it is written."""
        self.about.update(about)


@contextmanager
def changing(store: Path) -> Iterator[None]:
    """Turns errors of the operating system into a BundleError that names the store."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{store} cannot be written: {reason(error)}") from error


@contextmanager
def drafting(store: Path) -> Iterator[Draft]:
    """A hidden folder of the store that is gone when the block ends, unless it has become a version."""
    with ExitStack() as ending:
        with changing(store):
            store.mkdir(parents=True, exist_ok=True)
            drafts.clear(store)
            draft = Draft(ending.enter_context(drafts.new_folder(store)))
        try:
            yield draft
        except BundleError:  # another store's, or an earlier one's, which says so
            raise
        except Exception as error:
            if no_room(error):
                why = reason(error)
                raise BundleError(f"{store} cannot be written: {why}; nothing was changed") from error
            raise


def describe(draft: Draft, name: str, created: str) -> None:
    """Hash the files and write the manifest: the draft has a version now."""
    files = manifests.hashed(draft.folder)
    fingerprint = manifests.fingerprint(files)
    draft.version = f"{name}-{fingerprint[:12]}"
    Manifest(
        name=name,
        version=draft.version,
        fingerprint=fingerprint,
        created=created,
        files=files,
        libraries=manifests.libraries(),
        **draft.about,
    ).save(draft.folder)


def move_into(draft: Draft, store: Path) -> None:
    """Sync a finished draft and give it its name, unless that version is there and whole."""
    for path in [*sorted(draft.folder.rglob("*")), draft.folder]:
        sync(path)
    draft.folder.chmod(0o755)
    target = store / draft.version
    try:
        draft.folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        if not _whole(target):
            take_away(target)
            draft.folder.rename(target)
        else:
            _carry_signatures(draft.folder, target)
    sync(store)


def take_away(version: Path) -> None:
    """Remove a version in one step."""
    with drafts.new_folder(version.parent) as hidden:
        version.rename(hidden / version.name)


def replace_line(path: Path, line: str) -> None:
    """Replace the content of a one-line file, durably: a reader sees the old line or the new one."""
    with drafts.new_file(path.parent) as draft:
        with draft.open("w") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    sync(path.parent)


def write_signatures(version: Path, signatures: list[Signature]) -> None:
    """Replace the signatures of a version. Raises: BundleError where they cannot be written."""
    with changing(version.parent):
        text = as_text(signatures)
        with drafts.new_file(version.parent) as draft:
            draft.write_text(text)
            draft.chmod(0o644)
            sync(draft)
            draft.replace(version / manifests.SIGNATURES)
        sync(version)


def _carry_signatures(source: Path, target: Path) -> None:
    """Add the signatures of one copy of a version to another that is kept."""
    given, there = read(source), read(target)
    if given and given != there:
        write_signatures(target, united(given, there))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place when the block ends, and is gone where it fails.

    Raises: BundleError where it cannot be written.
    """
    hidden = path.with_name(f"{path.name}.new")
    with changing(path):
        try:
            yield hidden
            hidden.replace(path)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise


def _whole(version: Path) -> bool:
    try:
        verify.check(version, version.name)
    except BundleError:
        return False
    return True


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
