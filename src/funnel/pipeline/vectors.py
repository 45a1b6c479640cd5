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
from funnel.types import Float32, Int32
from funnel.values.texts import save_ids
from funnel.vectors import ItemVectors

#: Items that are encoded together; bounds memory, not results.
CHUNK = 65_536


def copy_towers(prepared: Prepared, version: Path, folder: Path) -> int:
    """Copy the files of a version that serving needs. Returns the number of items encoded by their columns.

    Items that the version has keep their vectors, items that are gone are left out, and new ones are encoded
    by the item tower. Vectors are written in the form that they are served in (`index.vectors`), so that
    index, ranker and reports are made from what serves.
    Raises: BundleError when items are new and the version was exported without its item tower; DataError when
    a vector does not fit the form.
    """
    ignored = shutil.ignore_patterns("manifest.json", "user_*", TRAINING, REFIT)
    shutil.copytree(version, folder, ignore=ignored)
    ids, path = prepared.dataset.item_ids, folder / "item_vectors.npy"
    had, form = Vocabulary.load(folder / "item_ids.npy"), prepared.config.index.vectors
    vectors, new = np.load(path, mmap_mode="r", allow_pickle=False), 0
    same = np.array_equal(had.values, ids)
    if not same:
        vectors, new = _of_items(prepared, had.rows(ids), vectors, folder)
        (folder / "item_ids.npy").unlink()  # it may be mapped
        save_ids(folder / "item_ids.npy", ids)
    if not same or form != "float32":
        path.unlink()
        ItemVectors.of(vectors).kept(form).save(path)
    return new


def _of_items(prepared: Prepared, rows: Int32, before: Float32, folder: Path) -> tuple[Float32, int]:
    """A vector for every item of the data, and how many are new. rows: of the version's `before`; −1: new."""
    vectors, new = np.asarray(before[np.maximum(rows, 0)]), np.flatnonzero(rows < 0)
    if not len(new):
        return vectors, 0
    encoder = ItemEncoder.load(folder)
    if encoder is None:
        raise BundleError(
            f"{len(new):,} items are new (such as {prepared.dataset.item_ids[new[0]]}) and the towers have "
            "no item tower, as an earlier funnel exported them: train again"
        )
    for start in range(0, len(new), CHUNK):
        some = new[start : start + CHUNK]
        columns = {name: prepared.item_features[name][some] for name in encoder.specs}
        vectors[some] = encoder.encode(columns, len(some))
    return vectors, len(new)
