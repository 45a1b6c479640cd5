"""Training state in one .npz file, replaced atomically at the end of each epoch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NAME = "checkpoint.npz"


def save(folder: Path, states: Mapping[str, Mapping[str, Tensor]], meta: dict[str, Any]) -> None:
    """Write named groups of tensors and a JSON-able dict; an older file stays whole until the new one is."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{group}/{name}": t.numpy() for group, state in states.items() for name, t in state.items()}
    arrays["meta"] = np.array(json.dumps(meta))
    partial = folder / f"{NAME}.partial"
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / NAME)


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """What `save` wrote, or None where there is none."""
    path = folder / NAME
    if not path.exists():
        return None
    states: dict[str, dict[str, Tensor]] = {}
    with np.load(path, allow_pickle=False) as file:
        meta: dict[str, Any] = json.loads(str(file["meta"]))
        for key in file.files:
            if key != "meta":
                group, name = key.split("/", 1)
                states.setdefault(group, {})[name] = torch.from_numpy(file[key])
    return states, meta


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's moments as flat names."""
    state = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value for i, moments in state.items() for name, value in moments.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> None:
    """The reverse of `optimiser_state`, for an optimiser over the same parameters."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        i, name = key.split(".", 1)
        moments.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})


def copy(module: nn.Module) -> dict[str, Tensor]:
    """A module's state that later training does not change."""
    return {name: t.detach().clone() for name, t in module.state_dict().items()}


def fingerprint(*parts: str | NDArray[Any]) -> str:
    """sha256 over texts and arrays: what a checkpoint was made from."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
