"""Whether a version's folder is what its manifest says, file by file."""

from __future__ import annotations

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
    for name, expected in manifest.files.items():
        path = found.pop(name, None)
        if path is None:
            raise BundleError(f"bundle {version}: {name} is missing")
        if manifests.entry(path) != expected:
            raise BundleError(f"bundle {version}: {name} was changed after it was written")
    if found:
        raise BundleError(f"bundle {version}: {min(found)} does not belong to it")
    return manifest
