"""Copies of bundles elsewhere: whatever fsspec reaches, such as s3://, gs://, memory:// or a folder.

    push(Store("indexes"), "s3://bucket/ads")   # the published bundle, and that it is the published one
    pull("s3://bucket/ads", Store("indexes"))   # on the machine that serves; published there

Bundles are not served from there: arrays are memory-mapped, so they must be files of this machine. A remote
folder is laid out as a store is. A version is whole there once it has its manifest, which comes last;
`CURRENT` comes after it.
"""

from __future__ import annotations

import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from funnel.artifacts.manifest import MANIFEST, SIGNATURES, Manifest
from funnel.artifacts.signing import Signature, as_text, read, united
from funnel.artifacts.store import CURRENT, NAME, Store
from funnel.artifacts.writing import write_signatures
from funnel.errors import BundleError, FunnelError


def push(store: Store, url: str, version: str = "current") -> str:
    """Verify a version, copy it to a URL, and name it the current one there; the version.

    A version that is there already is not copied again; signatures that it has here are added to those there.
    Raises: BundleError when the version does not verify or the URL cannot be written.
    """
    version = store.verify(version).version
    folder = store.path(version)
    own = read(folder)
    system, root = opened(url)
    try:
        if not system.exists(f"{root}/{version}/{MANIFEST}"):
            manifest = Manifest.load(folder)
            for name in manifest.files:
                put_file(system, folder / name, f"{root}/{version}/{name}")
            _replace(system, f"{root}/{version}/{MANIFEST}", (folder / MANIFEST).read_bytes())
        if own:
            every = united(own, _signatures(system, f"{root}/{version}"))
            _replace(system, f"{root}/{version}/{SIGNATURES}", as_text(every).encode())
        _replace(system, f"{root}/{CURRENT}", f"{version}\n".encode())
    except Exception as error:  # each file system has its own
        raise BundleError(f"{url} cannot be written: {error!r}; what was current there still is") from error
    return version


def pull(url: str, store: Store, version: str = "current") -> str:
    """Copy a version from a URL into the store unless it is there and whole; the version.

    Of one that is there, signatures that it has elsewhere are added. It is verified file by file before it
    appears; publishing it is for the caller. Where the store trusts
    keys, one of them must have signed it, which is looked at before its files are fetched.
    Raises: BundleError when there is none, it is damaged, or the store cannot be written.
    """
    system, root = opened(url)
    try:
        version = _current(system, root, url) if version == "current" else version
        if not NAME.fullmatch(version) or not system.exists(f"{root}/{version}/{MANIFEST}"):
            raise BundleError(f"{url} has no whole version {version!r}")
        _bring_signatures(system, f"{root}/{version}", store.folder / version)
        if _is_whole(store, version):
            return version
        with store.copying(version) as draft:
            system.get_file(f"{root}/{version}/{MANIFEST}", str(draft.folder / MANIFEST))
            if system.exists(f"{root}/{version}/{SIGNATURES}"):
                system.get_file(f"{root}/{version}/{SIGNATURES}", str(draft.folder / SIGNATURES))
            store.check_signature(draft.folder)  # before anything else of it is read
            for name in Manifest.load(draft.folder).files:
                _get(system, f"{root}/{version}/{name}", draft.folder, name)
    except FunnelError:
        raise
    except Exception as error:  # each file system has its own
        raise BundleError(f"{url} cannot be read: {error!r}; nothing was changed") from error
    return version


def opened(url: str) -> tuple[Any, str]:
    """The file system and the folder in it. Raises: FunnelError naming the extra, BundleError."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as missing:
        raise FunnelError('other file systems need fsspec: pip install "funnel-rank[remote]"') from missing
    try:
        system, root = url_to_fs(url)
    except Exception as error:  # an unknown protocol, or a driver that is not installed
        raise BundleError(f"{url} cannot be opened: {error}") from error
    system.invalidate_cache()  # what others wrote since
    return system, str(root).rstrip("/")


def _current(system: Any, root: str, url: str) -> str:
    if not system.exists(f"{root}/{CURRENT}"):
        raise BundleError(f"{url}: nothing is published there; `funnel push` does that")
    return str(system.cat_file(f"{root}/{CURRENT}").decode(errors="replace").strip())


def _bring_signatures(system: Any, source: str, folder: Path) -> None:
    """Add those that a version has elsewhere to the copy here, which may be trusted by them alone before
    long: keys change by a second signature. What it has here stays."""
    if not folder.is_dir():
        return
    with suppress(BundleError):  # it is as whole as it was
        known = read(folder)
        if len(every := united(known, _signatures(system, source))) > len(known):
            write_signatures(folder, every)


def _signatures(system: Any, source: str) -> list[Signature]:
    """Those that a version has elsewhere; none where they are damaged."""
    if not system.exists(f"{source}/{SIGNATURES}"):
        return []
    with suppress(BundleError), tempfile.TemporaryDirectory() as temporary:
        system.get_file(f"{source}/{SIGNATURES}", f"{temporary}/{SIGNATURES}")
        return read(Path(temporary))
    return []


def _is_whole(store: Store, version: str) -> bool:
    try:
        store.verify(version)
    except BundleError:
        return False
    return True


def put_file(system: Any, file: Path, target: str) -> None:
    """Copy one file, into a folder that need not exist."""
    system.makedirs(target.rpartition("/")[0], exist_ok=True)
    system.put_file(str(file), target)


def _replace(system: Any, target: str, content: bytes) -> None:
    """Old or new, and nothing in between, where the file system moves in one step."""
    temporary = f"{target}.{uuid.uuid4().hex}"
    system.pipe_file(temporary, content)
    system.mv(temporary, target)


def _get(system: Any, source: str, folder: Path, name: str) -> None:
    """One file, below the folder and nowhere else."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{source}: the manifest names a file outside of its bundle")
    target.parent.mkdir(parents=True, exist_ok=True)
    system.get_file(source, str(target))
