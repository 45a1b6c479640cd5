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

from funnel.artifacts import Draft, Manifest, Store
from funnel.data import Split, Vocabulary
from funnel.errors import BundleError, FunnelError
from funnel.features import TableEncoder
from funnel.pipeline.checks import check
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import step
from funnel.towers.config import TowersConfig
from funnel.types import Examples, Int32, Log, Ragged, Requests
from funnel.values.texts import load_ids, save_ids

log = logging.getLogger(__name__)

#: Where a version keeps what it was exported from: weights, encoders, ids. A bundle does without.
TRAINING = "training"

#: Where a version keeps the same towers, trained on what the test window may know; see `Split.refit`.
REFIT = "refit"

#: They are not trained from the start: what the first training found holds, and the events that came since
#: are few. A third of its epochs on all events gave better towers than all of them from the start.
GOES_ON = 3

#: Raised whenever equal inputs come to give other towers, so that those of an earlier funnel are not kept.
TOWERS = 3

_IDS, _ITEMS, _USERS, _VECTORS = "item_ids.npy", "items", "users", "item_vectors.npy"
_INPUTS = "inputs.json"


def train_towers(
    prepared: Prepared, embeddings: Store, *, start_from: str | None = None, progress: bool = False
) -> Path:
    """The trained towers' folder in the embeddings store; trained only if equal inputs were not before.

    start_from: a version of the store, or "last" for the newest, whose weights training starts with.
    Raises: FunnelError naming the extra when torch is not installed, BundleError for a version that is not
    there or cannot be started from; see also `funnel.pipeline.checks.check`.
    """
    start = starting_version(embeddings, start_from)
    kept = trained_before(prepared, embeddings, start)
    if kept is not None:
        log.info("towers %s were trained on the same inputs: kept", kept.version)
        return embeddings.path(kept.version)
    check(prepared)
    with embeddings.writing(prepared.config.name) as draft:
        fitted = draft.folder / TRAINING
        fitted.mkdir()
        started = None if start is None else embeddings.path(start.version)
        fit_towers(prepared, fitted, start_from=started, progress=progress)
        with step("export the towers"):
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

    Where the test window may know more events than the ranker's, the training goes on with all of these, for
    a third of the epochs that did best.
    start_from: the folder of a version. checkpoint: a folder from which a training that was killed goes on,
    epoch by epoch.
    """
    weights, warm = _torch("weights"), _torch("warm")
    ids, encoders = prepared.dataset.item_ids, (prepared.item_encoder, prepared.user_encoder)
    start, parts, config = None, prepared.split, prepared.config.towers
    if start_from is not None:
        start = warm.Start.load(start_from / TRAINING, start_from.name, ids, *encoders)
    with step("train the towers"):
        trained = _train(prepared, parts.train, parts.ranker, config, start, checkpoint, progress)
    weights.save_trained(trained, folder)
    if parts.refit is not None:
        config = config.model_copy(update={"epochs": -(-(trained.best + 1) // GOES_ON)})
        checkpoint, start = None if checkpoint is None else checkpoint / REFIT, warm.Start.of(trained)
        with step("go on training the towers, for the test window"):
            again = _train(prepared, parts.refit, None, config, start, checkpoint, progress)
        (folder / REFIT).mkdir()
        weights.save_trained(again, folder / REFIT)
    save_ids(folder / _IDS, ids)
    inputs = tower_inputs(prepared) | ({"start_from": start_from.name} if start_from else {})
    (folder / _INPUTS).write_text(json.dumps(inputs, indent=1))
    prepared.item_encoder.save(folder / _ITEMS)
    prepared.user_encoder.save(folder / _USERS)
    best = trained.epochs[trained.best]
    return {"epochs": len(trained.epochs), "validation_ndcg@100": round(best.validation, 5)}


def _train(
    prepared: Prepared,
    events: Log,
    validation: Examples | None,
    config: TowersConfig,
    start: Any,
    checkpoint: Path | None,
    progress: bool,
) -> Any:
    """Towers of the prepared tables: a `funnel.towers.training.trained.Trained`."""
    return _torch("train").train(
        events,
        prepared.item_features,
        prepared.item_encoder.specs,
        prepared.user_features,
        prepared.user_encoder.specs,
        validation,
        config,
        seed=prepared.config.seed,
        folder=checkpoint,
        start_from=start,
        progress=progress,
    )


def load_encoders(folder: Path) -> tuple[TableEncoder, TableEncoder]:
    """Encoders of users and items that towers were trained with, from their folder."""
    return TableEncoder.load(folder / _USERS), TableEncoder.load(folder / _ITEMS)


def write_version(prepared: Prepared, fitted: Path, draft: Draft) -> None:
    """What serves, made from what was trained by `towers.training.export`; `fitted` may lie in the draft."""
    folder = draft.folder
    export, weights = _torch("export"), _torch("weights")
    ids, data = load_ids(fitted / _IDS), prepared.dataset
    rows = Vocabulary(ids).rows(data.item_ids)
    for part, log in _parts(prepared.split, fitted).items():
        asked, trained = _everyone(prepared, log, rows), weights.load_trained(fitted / part)
        (folder / part).mkdir(exist_ok=True)
        export.export(trained, folder / part, item_ids=ids, user_ids=data.user_ids, requests=asked)
        if fitted == folder / TRAINING:
            (fitted / part / _VECTORS).unlink()  # the version has them beside
    if fitted != folder / TRAINING:
        shutil.copytree(fitted, folder / TRAINING, ignore=shutil.ignore_patterns(_VECTORS))
    about = json.loads((fitted / _INPUTS).read_text())
    draft.describe(config=about, seed=about["seed"], data_checksum=about["checksum"])


def tower_inputs(prepared: Prepared) -> dict[str, Any]:
    """What decides the towers: equal inputs, wherever the data lie, need no second training."""
    sections = prepared.config.model_dump(mode="json", include={"seed", "split", "towers"})
    again: dict[str, Any] = {} if prepared.split.refit is None else {"refit": True}
    loss = [one.model_dump(mode="json") for one in prepared.config.needs if one.kind == "loss"]
    again |= {"plugins": loss} if loss else {}
    return {**sections, "checksum": prepared.dataset.checksum(), "made": TOWERS, **again}


def restore(version: Path, folder: Path) -> None:
    """What `fit_towers` left, from a version that was exported from it.

    Raises: BundleError when the version was made by an earlier funnel, which kept no weights.
    """
    if not (version / TRAINING).is_dir():
        raise BundleError(f"{version} holds no weights: an earlier funnel trained it")
    shutil.copytree(version / TRAINING, folder, dirs_exist_ok=True)
    for part in ("", REFIT):
        if (version / part).is_dir():
            shutil.copyfile(version / part / _VECTORS, folder / part / _VECTORS)


def served(version: Path) -> Path:
    """The folder of the towers that serve, of a version's."""
    return version / REFIT if (version / REFIT).is_dir() else version


def _parts(split: Split, fitted: Path) -> dict[str, Log]:
    """Which towers there are, below which name, and the log at whose end users are asked for."""
    again = {REFIT: split.refit} if split.refit is not None and (fitted / REFIT).is_dir() else {}
    return {"": split.train, **again}


def _torch(name: str) -> ModuleType:
    """A module of the towers that needs torch. Raises: FunnelError naming the extra that brings it."""
    try:
        return importlib.import_module(f"funnel.towers.training.{name}")
    except ModuleNotFoundError as missing:
        raise FunnelError(f'training needs {missing.name}: pip install "funnel-rank[train]"') from missing


def _everyone(prepared: Prepared, train: Log, rows: Int32) -> Requests:
    """Every user at the end of a log: whose vectors are exported. rows: of the items there."""
    history, times = train.by_user()
    now = int(train.times.max()) + 1 if train.clock == "time" else 0
    return Requests(
        users=np.arange(train.n_users, dtype=np.int32),
        times=np.full(train.n_users, now, dtype=np.int64),
        history=Ragged(rows[history.values], history.offsets),
        history_times=times,
        user_features=prepared.user_features,
    )
