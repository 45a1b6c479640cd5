"""Copies the towers of a version into a bundle, with a vector for every item of the data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from funnel.data import Vocabulary
from funnel.errors import BundleError
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.train import REFIT, TRAINING
from funnel.towers.items import ItemEncoder
from funnel.values.texts import save_ids

#: Items that are encoded together; bounds memory, not results.
CHUNK = 65_536


def copy_towers(prepared: Prepared, version: Path, folder: Path) -> int:
    """Copy the files of a version that serving needs. Returns the number of items encoded by their columns.

    Items that the version has keep their vectors, items that are gone are left out, and new ones are encoded
    by the item tower.
    Raises: BundleError when items are new and the version was exported without its item tower.
    """
    ignored = shutil.ignore_patterns("manifest.json", "user_*", TRAINING, REFIT)
    shutil.copytree(version, folder, ignore=ignored)
    ids = prepared.dataset.item_ids
    had = Vocabulary.load(folder / "item_ids.npy")
    if np.array_equal(had.values, ids):
        return 0
    before = np.load(folder / "item_vectors.npy", mmap_mode="r", allow_pickle=False)
    rows = had.rows(ids)
    new = np.flatnonzero(rows < 0)
    vectors = np.asarray(before[np.maximum(rows, 0)])
    if len(new):
        encoder = ItemEncoder.load(folder)
        if encoder is None:
            raise BundleError(
                f"{len(new):,} items are new (such as {ids[new[0]]}) and {version} has no item tower, as an "
                "earlier funnel exported it: train again"
            )
        for start in range(0, len(new), CHUNK):
            some = new[start : start + CHUNK]
            columns = {name: prepared.item_features[name][some] for name in encoder.specs}
            vectors[some] = encoder.encode(columns, len(some))
    for name in ("item_ids.npy", "item_vectors.npy"):
        (folder / name).unlink()  # it may be mapped
    save_ids(folder / "item_ids.npy", ids)
    np.save(folder / "item_vectors.npy", vectors)
    return len(new)
