"""Whether a version's folder is what its manifest says, file by file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from funnel.bundle import manifest as manifests
from funnel.bundle.manifest import Manifest
from funnel.errors import BundleError


def check(folder: Path, version: str) -> Manifest:
    """The manifest of a version's folder, all of whose files were read and compared with it.

    Raises: BundleError naming a file that is missing, changed, or not of the version.
    """
    manifest = Manifest.load(folder)
    said = manifest.checksum, manifest.fingerprint, manifest.version
    if said != (manifest.summed(), manifests.fingerprint(manifest.files), version):
        raise BundleError(f"bundle {version}: {manifests.MANIFEST} was changed after it was written")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found.pop(manifests.MANIFEST)
    if missing := sorted(set(manifest.files) - set(found)):
        raise BundleError(f"bundle {version}: {missing[0]} is missing")
    if extra := sorted(set(found) - set(manifest.files)):
        raise BundleError(f"bundle {version}: {extra[0]} does not belong to it")
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        for name, entry in zip(found, pool.map(manifests.entry, found.values()), strict=True):
            if entry != manifest.files[name]:
                raise BundleError(f"bundle {version}: {name} was changed after it was written")
    return manifest
