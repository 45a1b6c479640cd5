"""Whether a version's folder is what its manifest says, file by file."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from funnel.artifacts import manifest as manifests
from funnel.artifacts.manifest import Manifest
from funnel.artifacts.signing import Trust
from funnel.errors import BundleError


def check(folder: Path, version: str, *, reports: bool = True, trust: Trust | None = None) -> Manifest:
    """The manifest of a version's folder, all of whose files were read and compared with it.

    reports: False leaves out the reports, which decide no answer. trust: keys, one of which must have signed
    it, before any other file is read; None: nobody need have.
    Raises: BundleError naming a file that is missing, changed, or not of the version, and where it is not
    signed by a known key.
    """
    manifest = Manifest.load(folder)
    claimed = manifest.checksum, manifest.fingerprint, manifest.version
    if claimed != (manifest.summed(), manifests.fingerprint(manifest.files), version):
        raise BundleError(f"bundle {version}: {manifests.MANIFEST} was changed after it was written")
    if trust is not None:
        trust.check(folder, manifest)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    looked_at = set(manifest.files) - (set() if reports else set(manifests.NOT_FINGERPRINTED))
    files = {
        name: path for name, path in files.items() if name in looked_at or not _is_listed(name, manifest)
    }
    if missing := sorted(looked_at - set(files)):
        raise BundleError(f"bundle {version}: {missing[0]} is missing")
    if extra := sorted(set(files) - set(manifest.files)):
        raise BundleError(f"bundle {version}: {extra[0]} does not belong to it")
    with ThreadPoolExecutor(_threads()) as pool:  # hashing lets other threads run
        for name, entry in zip(files, pool.map(manifests.entry, files.values()), strict=True):
            if entry != manifest.files[name]:
                raise BundleError(f"bundle {version}: {name} was changed after it was written")
    return manifest


def _threads() -> int | None:
    """One for who gives way: each further one would have a share of the processor of its own."""
    if not hasattr(os, "getpriority"):
        return None
    return 1 if os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) > 0 else None


def _is_listed(name: str, manifest: Manifest) -> bool:
    return name in (manifests.MANIFEST, manifests.SIGNATURES) or name in manifest.files
