"""Bundles that are served side by side have equal files once: on disk, and in memory where mapped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.artifacts.writing import changing

#: Files below so many bytes are left alone: a page of memory is not shared with anything else either way.
LEAST = 65_536


def link_equal_files(store: Store, versions: Sequence[str]) -> int:
    """Make equal files of versions, verified just before, one file with several names; the bytes saved.

    Which are equal is known by their hashes. A bundle is never written to once it is there, so that sharing
    changes nothing but room; a process that has mapped the earlier file keeps it. One at a time in a store.
    Raises: BundleError where the store cannot be written. Where links cannot be made, nothing is saved.
    """
    first: dict[str, Path] = {}
    saved = 0
    with changing(store.folder):
        for left in store.folder.glob(".*.link"):  # by one who was killed
            left.unlink()
        for version in versions:
            folder = store.path(version)
            for name, entry in Manifest.load(folder).files.items():
                path = folder / name
                other = first.setdefault(entry.sha256, path)
                if other != path and path.stat().st_size >= LEAST and not other.samefile(path):
                    saved += _linked(other, path, store.folder / f".{os.getpid()}.link")
    return saved


def _linked(source: Path, target: Path, draft: Path) -> int:
    """Replace the target by another name of the source; its size, 0 where the disk has no links."""
    size = target.stat().st_size
    try:
        os.link(source, draft)
    except OSError:
        return 0
    draft.replace(target)
    return size
