"""Training state in one .npz file a process, replaced atomically at the end of each epoch.

A checkpoint spares time and is never an input: whatever is in doubt about one, training starts anew, gives
the result that it would have given without it, and the log says why. So one that was made from anything else,
by another version, or that is damaged is not refused but left aside, and replaced after the next epoch.

Tensors are saved from whatever device they are on and loaded to any.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from funnel.towers.training.digests import fingerprint

#: The file of a training in one process.
NAME = "checkpoint.npz"

States = Mapping[str, Mapping[str, Tensor]]


class Damaged(Exception):
    """What is in the file is not what `save` wrote."""


class Checkpoint:
    """What `save` wrote, read when it is asked for: a table of millions of items is not held twice.

    Raises: Damaged when it cannot be read whole.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = np.load(path, allow_pickle=False)
            digest, self._names = str(self._file["digest"]), set(self._file.files) - {"digest"}
            if digest != fingerprint(_Arrays(self._file, sorted(self._names))):
                raise Damaged("its contents are not those that were written")
            self.meta: dict[str, Any] = json.loads(str(self._file["meta"]))
        except Damaged:
            raise
        except Exception as error:  # a torn archive can raise almost anything
            raise Damaged(f"{type(error).__name__}: {error}") from error

    def group(self, name: str) -> dict[str, Tensor]:
        """A named group of tensors."""
        keys = [key for key in sorted(self._names) if key.startswith(f"{name}/")]
        return {key.removeprefix(f"{name}/"): torch.from_numpy(self._file[key]) for key in keys}


def save(path: Path, states: States, meta: dict[str, Any]) -> None:
    """Write named groups of tensors and a JSON-able dict; an older file stays whole until the new one is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        f"{group}/{name}": tensor.detach().cpu().numpy()
        for group, state in states.items()
        for name, tensor in state.items()
    }
    arrays["meta"] = np.array(json.dumps(meta))
    digest = fingerprint({name: arrays[name] for name in sorted(arrays)})
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays, digest=np.array(digest))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def load(path: Path) -> Checkpoint | None:
    """What `save` wrote, or None where there is none. Raises: Damaged when it cannot be read whole."""
    return Checkpoint(path) if path.exists() else None


class _Arrays(Mapping[str, Any]):
    """Some arrays of an archive, in an order, each read when it is asked for."""

    def __init__(self, archive: Mapping[str, Any], names: list[str]) -> None:
        self._archive, self._names = archive, names

    def __getitem__(self, name: str) -> Any:
        return self._archive[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


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
