"""The manifest of a version: hashes of its files, and what they were made from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_serializer

from funnel.errors import BundleError
from funnel.plugins import Needed
from funnel.settings import Settings

#: The newest layout that this version of funnel reads.
FORMAT_VERSION = 1

MANIFEST = "manifest.json"

#: Signatures of the manifest, which it does not name; see `funnel.artifacts.signing`.
SIGNATURES = "signatures.json"

#: Files beside the manifest that do not decide what is answered: timings differ from run to run.
NOT_FINGERPRINTED = ("report.json", "report.html")

_LIBRARIES = ("funnel-rank", "numpy", "pandas", "faiss-cpu", "lightgbm", "onnxruntime", "torch")


class FileEntry(Settings):
    """One file of a version."""

    sha256: str
    bytes: int


class Manifest(Settings):
    """What is recorded about a version. A field that its writer does not fill stays empty.

    fingerprint: sha256 over the paths and hashes of the files that decide answers. fallback: why the ranker's
    order is not used; empty where it is. metrics: None where a figure is not finite. checksum: sha256 of
    all other fields, set by `save`. data_read: seconds since 1970 at which reading the
    data began; changes of items that were made before are in them. 0 where that is not known. data_end: one
    second after the last event, None where they have no clock. plugins: those that the config names and that
    are not funnel's own.
    """

    format_version: int = FORMAT_VERSION
    name: str
    version: str
    fingerprint: str
    created: str
    files: dict[str, FileEntry]
    libraries: dict[str, str] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    schema_fingerprint: str = ""
    towers_fingerprint: str = ""
    data_checksum: str = ""
    data_read: float = 0.0
    data_end: int | None = None
    data_window: dict[str, tuple[str, str]] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    plugins: tuple[Needed, ...] = ()
    checksum: str = ""

    @field_validator("metrics", mode="before")
    @classmethod
    def _finite(cls, metrics: Any) -> Any:
        # JSON has no NaN: it would be read back as null, and not be what was summed.
        if not isinstance(metrics, dict):
            return metrics
        return {
            name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in metrics.items()
        }

    @model_serializer(mode="wrap")
    def _without_none(self, written: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        # Earlier manifests have no field `plugins`, and their checksum is of a manifest without it.
        fields = written(self)
        return fields if self.plugins else {key: value for key, value in fields.items() if key != "plugins"}

    def summed(self) -> str:
        """The checksum that the manifest should have."""
        plain = json.loads(self.model_dump_json(exclude={"checksum"}))
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def save(self, folder: Path) -> None:
        """Write manifest.json."""
        whole = self.model_copy(update={"checksum": self.summed()})
        (folder / MANIFEST).write_text(whole.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read manifest.json.

        Raises: BundleError when it is missing, damaged, or written by a newer funnel.
        """
        path = folder / MANIFEST
        try:
            text = path.read_text()
            manifest = cls.model_validate_json(text)
        except OSError as error:
            raise BundleError(
                f"{path} cannot be read ({error.strerror}); the bundle is incomplete"
            ) from error
        except (ValidationError, UnicodeDecodeError) as error:
            newer = _format_of(path)
            if newer > FORMAT_VERSION:
                raise BundleError(_too_new(path, newer)) from error
            raise BundleError(f"{path} is damaged: it is not a manifest") from error
        if manifest.format_version > FORMAT_VERSION:
            raise BundleError(_too_new(path, manifest.format_version))
        return manifest


def _too_new(path: Path, version: int) -> str:
    return (
        f"{path} was made by a newer funnel (format {version}; this one reads up to {FORMAT_VERSION}): "
        "upgrade funnel, or build the bundle again"
    )


def _format_of(path: Path) -> int:
    """The format version of a manifest that cannot be read otherwise; 0 where there is none."""
    try:
        return int(json.loads(path.read_text())["format_version"])
    except (ValueError, KeyError, TypeError):
        return 0


def hashed(folder: Path) -> dict[str, FileEntry]:
    """Every file below a folder but the manifest, by its path, sorted."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: entry(names[name]) for name in sorted(names) if name not in (MANIFEST, SIGNATURES)}


def entry(path: Path) -> FileEntry:
    """Hash and size of one file. Raises: BundleError when it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        return FileEntry(sha256=digest.hexdigest(), bytes=path.stat().st_size)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from error


def fingerprint(files: dict[str, FileEntry]) -> str:
    """sha256 over the paths and hashes of the files that decide answers."""
    lines = [f"{path} {files[path].sha256}\n" for path in sorted(files) if path not in NOT_FINGERPRINTED]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def libraries(names: Iterable[str] = _LIBRARIES) -> dict[str, str]:
    """Installed versions of the libraries that shape a bundle."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
