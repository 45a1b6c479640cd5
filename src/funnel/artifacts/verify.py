"""Whether a version's folder is what its manifest says, file by file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from funnel.artifacts import manifest as manifests
from funnel.artifacts.manifest import Manifest
from funnel.errors import BundleError


def check(folder: Path, version: str, *, reports: bool = True) -> Manifest:
    """The manifest of a version's folder, all of whose files were read and compared with it.

    reports: False leaves out what decides no answer, whether it is there and whole.
    Raises: BundleError naming a file that is missing, changed, or not of the version.
    """
    manifest = Manifest.load(folder)
    said = manifest.checksum, manifest.fingerprint, manifest.version
    if said != (manifest.summed(), manifests.fingerprint(manifest.files), version):
        raise BundleError(f"bundle {version}: {manifests.MANIFEST} was changed after it was written")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    looked_at = set(manifest.files) - (set() if reports else set(manifests.NOT_FINGERPRINTED))
    found = {name: path for name, path in found.items() if name in looked_at or not _known(name, manifest)}
    if missing := sorted(looked_at - set(found)):
        raise BundleError(f"bundle {version}: {missing[0]} is missing")
    if extra := sorted(set(found) - set(manifest.files)):
        raise BundleError(f"bundle {version}: {extra[0]} does not belong to it")
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        for name, entry in zip(found, pool.map(manifests.entry, found.values()), strict=True):
            if entry != manifest.files[name]:
                raise BundleError(f"bundle {version}: {name} was changed after it was written")
    return manifest


def _known(name: str, manifest: Manifest) -> bool:
    return name == manifests.MANIFEST or name in manifest.files
