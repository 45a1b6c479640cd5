"""Train the towers, and export them as a version of the embeddings store."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from funnel.bundle import Draft, Manifest, Store
from funnel.data import Vocabulary
from funnel.errors import BundleError, FunnelError
from funnel.features import TableEncoder
from funnel.pipeline.prepare import Prepared
from funnel.types import Int32, Ragged, Requests

log = logging.getLogger(__name__)

#: Where a version keeps what it was exported from: weights, encoders, ids. A bundle does without.
TRAINING = "training"

_IDS, _ITEMS, _USERS, _VECTORS = "item_ids.npy", "items", "users", "item_vectors.npy"
_INPUTS = "inputs.json"


def train_towers(
    prepared: Prepared, embeddings: Store, *, start_from: str | None = None, progress: bool = False
) -> Path:
    """The trained towers' folder in the embeddings store; trained only if equal inputs were not before.

    start_from: a version of the store, or "last" for the newest, whose weights training starts with.
    Raises: FunnelError naming the extra when torch is not installed, BundleError for a version that is not
    there or cannot be started from.
    """
    start = starting_version(embeddings, start_from)
    kept = trained_before(prepared, embeddings, start)
    if kept is not None:
        log.info("towers %s were trained on the same inputs: kept", kept.version)
        return embeddings.path(kept.version)
    with embeddings.writing(prepared.config.name) as draft:
        fitted = draft.folder / TRAINING
        fitted.mkdir()
        started = None if start is None else embeddings.path(start.version)
        fit_towers(prepared, fitted, start_from=started, progress=progress)
        write_version(prepared, fitted, draft)
    return embeddings.path(draft.version)


def starting_version(embeddings: Store, start_from: str | None) -> Manifest | None:
    """The version to start from; None for a fresh start, also where "last" finds none."""
    if start_from is None:
        return None
    if start_from == "last":
        return next(iter(embeddings.versions()), None)
    return embeddings.verify(start_from)


def trained_before(prepared: Prepared, embeddings: Store, start: Manifest | None) -> Manifest | None:
    """A whole version that was trained on the same inputs, from the same start or on that very data."""
    inputs = tower_inputs(prepared)
    wanted = [inputs | {"start_from": start.version}] if start else [inputs]
    if start is not None and {**start.config, "start_from": None} == {**inputs, "start_from": None}:
        return start  # it has seen all there is
    for kept in embeddings.versions():
        if kept.config in wanted and (embeddings.folder / kept.version / TRAINING).is_dir():
            embeddings.verify(kept.version)
            return kept
    return None


def fit_towers(
    prepared: Prepared,
    folder: Path,
    *,
    start_from: Path | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train, and leave weights, vectors, ids and encoders in a folder; figures of the training.

    start_from: the folder of a version. checkpoint: a folder from which a training that was killed goes on,
    epoch by epoch.
    """
    towers, weights, warm = (_torch(name) for name in ("train", "weights", "warm"))
    ids, encoders = prepared.dataset.item_ids, (prepared.item_encoder, prepared.user_encoder)
    start = None
    if start_from is not None:
        start = warm.Start.load(start_from / TRAINING, start_from.name, ids, *encoders)
    trained = towers.train(
        prepared.split.train,
        prepared.item_features,
        prepared.item_encoder.specs,
        prepared.user_features,
        prepared.user_encoder.specs,
        prepared.split.ranker,
        prepared.config.towers,
        seed=prepared.config.seed,
        folder=checkpoint,
        start_from=start,
        progress=progress,
    )
    weights.save_trained(trained, folder)
    np.save(folder / _IDS, ids)
    inputs = tower_inputs(prepared) | ({"start_from": start_from.name} if start_from else {})
    (folder / _INPUTS).write_text(json.dumps(inputs, indent=1))
    prepared.item_encoder.save(folder / _ITEMS)
    prepared.user_encoder.save(folder / _USERS)
    best = trained.epochs[trained.best]
    return {"epochs": len(trained.epochs), "validation_ndcg@100": round(best.validation, 5)}


def load_encoders(folder: Path) -> tuple[TableEncoder, TableEncoder]:
    """Encoders of users and items that towers were trained with, from their folder."""
    return TableEncoder.load(folder / _USERS), TableEncoder.load(folder / _ITEMS)


def write_version(prepared: Prepared, fitted: Path, draft: Draft) -> None:
    """What serves, from what was trained: see `funnel.towers.export`; `fitted` may lie in the draft."""
    folder = draft.folder
    export, weights = _torch("export"), _torch("weights")
    ids, data = np.load(fitted / _IDS, allow_pickle=False), prepared.dataset
    asked = _everyone(prepared, Vocabulary(ids).rows(data.item_ids))
    trained = weights.load_trained(fitted)
    export.export(trained, folder, item_ids=ids, user_ids=data.user_ids, requests=asked)
    if fitted != folder / TRAINING:
        shutil.copytree(fitted, folder / TRAINING, ignore=shutil.ignore_patterns(_VECTORS))
    else:
        (fitted / _VECTORS).unlink()  # the version has them beside
    about = json.loads((fitted / _INPUTS).read_text())
    draft.describe(config=about, seed=about["seed"], data_checksum=about["checksum"])


def tower_inputs(prepared: Prepared) -> dict[str, Any]:
    """What decides the towers: equal inputs, wherever the data lie, need no second training."""
    sections = prepared.config.model_dump(mode="json", include={"seed", "split", "towers"})
    return {**sections, "checksum": prepared.dataset.checksum()}


def restore(version: Path, folder: Path) -> None:
    """What `fit_towers` left, from a version that was exported from it.

    Raises: BundleError when the version was made by an earlier funnel, which kept no weights.
    """
    if not (version / TRAINING).is_dir():
        raise BundleError(f"{version} holds no weights: an earlier funnel trained it")
    shutil.copytree(version / TRAINING, folder, dirs_exist_ok=True)
    shutil.copyfile(version / _VECTORS, folder / _VECTORS)


def _torch(name: str) -> ModuleType:
    """A module of the towers that needs torch. Raises: FunnelError naming the extra that brings it."""
    try:
        return importlib.import_module(f"funnel.towers.{name}")
    except ModuleNotFoundError as missing:
        raise FunnelError(f'training needs {missing.name}: pip install "funnel-rank[train]"') from missing


def _everyone(prepared: Prepared, rows: Int32) -> Requests:
    """Every user at the end of the training window: whose vectors are exported. rows: of the items there."""
    train = prepared.split.train
    history, times = train.by_user()
    now = int(train.times.max()) + 1 if train.clock == "time" else 0
    return Requests(
        users=np.arange(train.n_users, dtype=np.int32),
        times=np.full(train.n_users, now, dtype=np.int64),
        history=Ragged(rows[history.values], history.offsets),
        history_times=times,
        user_features=prepared.user_features,
    )
