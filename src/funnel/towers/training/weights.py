"""Trained towers in files: what is exported from, and what a later training may start from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from funnel.errors import BundleError
from funnel.towers.config import TowersConfig
from funnel.towers.encoder import read_specs
from funnel.towers.training.model import TwoTowers
from funnel.towers.training.trained import Epoch, Trained

WEIGHTS, ABOUT, VECTORS = "weights.npz", "training.json", "item_vectors.npy"


def save_trained(trained: Trained, folder: Path) -> None:
    """weights.npz, item_vectors.npy and training.json into a folder: the same bytes for the same training, so
    that how long an epoch took is not among them."""
    arrays = {f"state/{name}": t.numpy() for name, t in trained.model.state_dict().items()}
    arrays["seen"] = (trained.model.items.rows > 0).numpy()
    with (folder / WEIGHTS).open("wb") as file:
        np.savez(file, **arrays)
    np.save(folder / VECTORS, trained.item_vectors)
    about: dict[str, Any] = {
        "config": trained.config.model_dump(mode="json"),
        "clock": trained.clock,
        "item_specs": {name: asdict(spec) for name, spec in trained.item_specs.items()},
        "user_specs": {name: asdict(spec) for name, spec in trained.user_specs.items()},
        "epochs": [asdict(epoch) | {"seconds": 0.0} for epoch in trained.epochs],
        "best": trained.best,
    }
    if trained.context_specs:
        about["context_specs"] = {name: asdict(spec) for name, spec in trained.context_specs.items()}
    if trained.kinds:
        about["kinds"] = trained.kinds
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")


def load_trained(folder: Path) -> Trained:
    """What `save_trained` wrote. Raises: BundleError when a part is missing or damaged."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        state, seen = load_weights(folder)
        config = TowersConfig.model_validate(about["config"])
        item_specs, user_specs = read_specs(about["item_specs"]), read_specs(about["user_specs"])
        context_specs = read_specs(about.get("context_specs", {}))
        kinds = tuple(about.get("kinds", ()))
        specs = item_specs, user_specs
        model = TwoTowers(config, *specs, seen, about["clock"], context_specs, len(kinds))
        model.load_state_dict(state)
        return Trained(
            config=config,
            clock=about["clock"],
            item_specs=item_specs,
            user_specs=user_specs,
            model=model.eval(),
            item_vectors=np.load(folder / VECTORS, allow_pickle=False),
            epochs=tuple(Epoch(**epoch) for epoch in about["epochs"]),
            best=about["best"],
            context_specs=context_specs,
            kinds=kinds,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise BundleError(f"{folder}: no trained towers can be read from here: {error}") from error


def load_weights(folder: Path) -> tuple[dict[str, torch.Tensor], Any]:
    """The state of both towers by name, and which items had a training event: bool [n_items]."""
    with np.load(folder / WEIGHTS, allow_pickle=False) as file:
        state = {
            name.removeprefix("state/"): torch.from_numpy(file[name])
            for name in file.files
            if name.startswith("state/")
        }
        return state, file["seen"]
