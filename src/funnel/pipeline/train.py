"""Train the towers, and export them as a version of the embeddings store."""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from funnel.artifacts import Draft, Manifest, Store
from funnel.data import Split, Vocabulary
from funnel.errors import BundleError, ConfigError, FunnelError
from funnel.features import ContextEncoder, TableEncoder
from funnel.pipeline.checks import check
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import step
from funnel.recipes import KeptFiles, Output, Recipe, workers
from funnel.towers.config import TowersConfig
from funnel.types import Clock, Examples, Int32, Log, Ragged, Requests
from funnel.values.texts import load_ids, save_ids

log = logging.getLogger(__name__)

#: The folder of a version with what it was exported from: weights, encoders, ids. A bundle does not have it.
TRAINING = "training"

#: The folder of a version with the same towers, trained further for the test window; see `Split.refit`.
REFIT = "refit"

#: That second training starts with the weights of the first, and has a third of its epochs: that gave better
#: towers than all epochs from random weights, since few events are new.
GOES_ON = 3

#: Raised whenever equal inputs give other towers than before, so that earlier ones are not reused.
TOWERS = 5

_IDS, _ITEMS, _USERS, _VECTORS = "item_ids.npy", "items", "users", "item_vectors.npy"
_CONTEXT = "context"
_INPUTS = "inputs.json"


def train_towers(
    prepared: Prepared,
    embeddings: Store | str | Path,
    *,
    start_from: str | None = None,
    progress: bool = False,
) -> Path:
    """Train the towers, unless equal inputs were trained before. Returns their folder in the store.

    embeddings: a store, or its folder. start_from: a version of it, or "last" for the newest of the config's
    name, whose weights training starts with.
    Raises: FunnelError naming the extra when torch is not installed, BundleError for a version that is not
    there or cannot be started from; see also `funnel.pipeline.checks.check`.
    """
    embeddings = Store.of(embeddings)
    start = starting_version(embeddings, start_from, prepared.config.name)
    kept = trained_before(prepared, embeddings, start)
    if kept is not None:
        log.info("towers %s were trained on the same inputs: kept", kept.version)
        return embeddings.path(kept.version)
    check(prepared)
    with embeddings.writing(prepared.config.name) as draft:
        fitted = draft.folder / TRAINING
        fitted.mkdir()
        started = None if start is None else embeddings.path(start.version)
        with tempfile.TemporaryDirectory(dir=draft.folder, prefix=".checkpoint-") as hidden:
            shared = Path(hidden) if prepared.config.scale.item_shards > 1 else None
            fit_towers(prepared, fitted, start_from=started, checkpoint=shared, progress=progress)
        with step("export the towers"):
            write_version(prepared, fitted, draft)
    return embeddings.path(draft.version)


def starting_version(embeddings: Store, start_from: str | None, name: str) -> Manifest | None:
    """The version to start from; None for a fresh start, also where "last" finds none, with a warning.

    name: of the config; "last" is the newest of its versions, since a store may hold those of other data.
    """
    if start_from is None:
        return None
    if start_from != "last":
        return embeddings.verify(start_from)
    last = next((version for version in embeddings.versions() if version.name == name), None)
    if last is None:
        log.warning("%s has no towers of %r to start from: training starts anew", embeddings.folder, name)
    return last


def trained_before(prepared: Prepared, embeddings: Store, start: Manifest | None) -> Manifest | None:
    """A complete version with the same inputs and the same start; or the start, if it had these data."""
    inputs = tower_inputs(prepared)
    wanted = [inputs | {"start_from": start.version}] if start else [inputs]
    if start is not None and {**start.config, "start_from": None} == {**inputs, "start_from": None}:
        return start  # it was trained on these data already
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
    """Train, and write weights, vectors, ids and encoders into a folder. Returns figures of the training.

    Where the test window may know more events than the ranker's, training continues on all of them, for a
    third of the best number of epochs.
    start_from: the folder of a version whose weights training starts with. checkpoint: a folder in which
    every epoch is kept, so that a training that was killed resumes there.
    """
    warm = _torch("warm")
    ids, encoders = prepared.dataset.item_ids, (prepared.item_encoder, prepared.user_encoder)
    start, parts, config = None, prepared.split, prepared.config.towers
    _say_unread(config, parts.train.clock)
    names = parts.train.kind_names
    if start_from is not None:
        start = warm.Start.load(
            start_from / TRAINING, start_from.name, ids, *encoders, prepared.context, names
        )
    with step("train the towers"):
        trained = _train(prepared, parts.train, parts.ranker, config, start, checkpoint, progress, folder)
    if parts.refit is not None:
        config = config.model_copy(update={"epochs": -(-(trained.best + 1) // GOES_ON)})
        checkpoint, start = None if checkpoint is None else checkpoint / REFIT, warm.Start.of(trained)
        with step("go on training the towers, for the test window"):
            (folder / REFIT).mkdir()
            _train(prepared, parts.refit, None, config, start, checkpoint, progress, folder / REFIT)
    save_ids(folder / _IDS, ids)
    inputs = tower_inputs(prepared) | ({"start_from": start_from.name} if start_from else {})
    (folder / _INPUTS).write_text(json.dumps(inputs, indent=1))
    prepared.item_encoder.save(folder / _ITEMS)
    prepared.user_encoder.save(folder / _USERS)
    if prepared.context is not None:
        prepared.context.save(folder / _CONTEXT)
    best = trained.epochs[trained.best]
    return {"epochs": len(trained.epochs), "validation_ndcg@100": round(best.validation, 5)}


def _say_unread(config: TowersConfig, clock: Clock) -> None:
    """A warning where keys are set that change nothing on such events."""
    if unread := config.unread(clock):
        what = "no order" if clock == "none" else "an order"
        keys = ", ".join(f"towers.{name} = {getattr(config, name)}" for name in unread)
        log.warning("these events have %s, and their towers do not read %s", what, keys)


def _train(
    prepared: Prepared,
    events: Log,
    validation: Examples | None,
    config: TowersConfig,
    start: Any,
    checkpoint: Path | None,
    progress: bool,
    out: Path,
) -> Any:
    """Towers of the prepared tables, a `funnel.towers.training.trained.Trained`, saved in a folder."""
    arguments = (
        events,
        prepared.item_features,
        prepared.item_encoder.specs,
        prepared.user_features,
        prepared.user_encoder.specs,
        validation,
        config,
    )
    options = {
        "seed": prepared.config.seed,
        "folder": checkpoint,
        "start_from": start,
        "context": prepared.event_context,
        "context_specs": {} if prepared.context is None else prepared.context.tower_specs,
        "texts": bool(prepared.item_encoder.texts),
        "progress": progress,
    }
    shards = prepared.config.scale.item_shards
    if shards > 1:
        return _train_sharded(arguments, options, shards, out)
    trained = _torch("train").train(*arguments, **options)
    _torch("weights").save_trained(trained, out)
    return trained


def _train_sharded(arguments: tuple[Any, ...], options: dict[str, Any], shards: int, out: Path) -> Any:
    """The same by so many processes of a cluster. Raises: ConfigError where there is none."""
    events, config, others = arguments[0], arguments[-1], workers()
    if others is None:
        raise ConfigError(
            f"scale.item_shards is {shards}, processes of a cluster that hold the items, and no cluster is "
            "named: give --ray local, or set scale.item_shards = 1"
        )
    _torch("sharded").check_shards(events, config, shards)
    if options["folder"] is not None:
        options = {**options, "folder": KeptFiles(options["folder"])}
    others.together(Recipe(_torch("group").training_in, arguments, options, Output(out)), shards)
    return _torch("weights").load_trained(out)


def load_encoders(folder: Path) -> tuple[TableEncoder, TableEncoder, ContextEncoder | None]:
    """Encoders of users, items and context that towers were trained with, from their folder."""
    users, items = TableEncoder.load(folder / _USERS), TableEncoder.load(folder / _ITEMS)
    return users, items, ContextEncoder.load(folder / _CONTEXT)


def write_version(prepared: Prepared, fitted: Path, draft: Draft) -> None:
    """Export trained towers into a draft of a version. fitted: their folder, which may lie in the draft."""
    folder = draft.folder
    export, weights = _torch("export"), _torch("weights")
    ids, data = load_ids(fitted / _IDS), prepared.dataset
    rows = Vocabulary(ids).rows(data.item_ids)
    for part, log in _parts(prepared.split, fitted).items():
        requests, trained = _everyone(prepared, log, rows), weights.load_trained(fitted / part)
        (folder / part).mkdir(exist_ok=True)
        export.export(trained, folder / part, item_ids=ids, user_ids=data.user_ids, requests=requests)
        if fitted == folder / TRAINING:
            (fitted / part / _VECTORS).unlink()  # the version has them beside
    if fitted != folder / TRAINING:
        shutil.copytree(fitted, folder / TRAINING, ignore=shutil.ignore_patterns(_VECTORS))
    about = json.loads((fitted / _INPUTS).read_text())
    draft.describe(config=about, seed=about["seed"], data_checksum=about["checksum"])


def tower_inputs(prepared: Prepared) -> dict[str, Any]:
    """What the towers depend on: with equal inputs, wherever the data lie, they are not trained again."""
    sections = prepared.config.model_dump(mode="json", include={"seed", "split", "towers"})
    again: dict[str, Any] = {} if prepared.split.refit is None else {"refit": True}
    loss = [plugin.model_dump(mode="json") for plugin in prepared.config.needs if plugin.kind == "loss"]
    again |= {"plugins": loss} if loss else {}
    if prepared.config.scale.item_shards > 1:  # sums of gradients are rounded otherwise
        again["shards"] = prepared.config.scale.item_shards
    if texts := {**prepared.item_encoder.texts, **prepared.user_encoder.texts}:
        again["texts"] = texts
    if prepared.context is not None:
        again["context"] = prepared.config.context.model_dump(mode="json")
    if prepared.split.kinds is not None:
        again["events"] = prepared.config.events.model_dump(mode="json")
    return {**sections, "checksum": prepared.dataset.checksum(), "made": TOWERS, **again}


def restore(version: Path, folder: Path) -> None:
    """Copy into a folder what `fit_towers` wrote for a version.

    Raises: BundleError when an earlier version of funnel made it, which kept no weights.
    """
    if not (version / TRAINING).is_dir():
        raise BundleError(f"{version} holds no weights: an earlier funnel trained it")
    shutil.copytree(version / TRAINING, folder, dirs_exist_ok=True)
    for part in ("", REFIT):
        if (version / part).is_dir():
            shutil.copyfile(version / part / _VECTORS, folder / part / _VECTORS)


def served(version: Path) -> Path:
    """The folder of a version's towers that serve."""
    return version / REFIT if (version / REFIT).is_dir() else version


def _parts(split: Split, fitted: Path) -> dict[str, Log]:
    """The log at whose end users are encoded, by the folder of the towers."""
    again = {REFIT: split.refit} if split.refit is not None and (fitted / REFIT).is_dir() else {}
    return {"": split.train, **again}


def _torch(name: str) -> ModuleType:
    """A module of the towers that needs torch. Raises: FunnelError naming the extra that brings it."""
    try:
        return importlib.import_module(f"funnel.towers.training.{name}")
    except ModuleNotFoundError as missing:
        raise FunnelError(f'training needs {missing.name}: pip install "funnel-rank[train]"') from missing


def _everyone(prepared: Prepared, train: Log, rows: Int32) -> Requests:
    """A request of every user at the end of a log, to export their vectors. rows: of the items there."""
    read = train if train.event_kinds is None else train.of_kinds(train.event_kinds.in_history)
    history, times = read.by_user()
    now = int(train.times.max()) + 1 if train.clock == "time" else 0
    return Requests(
        users=np.arange(train.n_users, dtype=np.int32),
        times=np.full(train.n_users, now, dtype=np.int64),
        history=Ragged(rows[history.values], history.offsets),
        history_times=times,
        user_features=prepared.user_features,
        history_kinds=read.kinds_by_user(),
    )
