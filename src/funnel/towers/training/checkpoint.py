"""Training state in one .npz file, replaced atomically at the end of each epoch.

A checkpoint spares time and is never an input: whatever is in doubt about one, training starts anew, gives
the result that it would have given without it, and the log says why. So one that was made from anything else,
by another version, or that is damaged is not refused but left aside, and replaced after the next epoch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NAME = "checkpoint.npz"

#: To be raised when the same arguments come to train otherwise, or a checkpoint to hold something else.
FORMAT = 3

States = Mapping[str, Mapping[str, Tensor]]


class Damaged(Exception):
    """What is in the file is not what `save` wrote."""


def save(folder: Path, states: States, meta: dict[str, Any]) -> None:
    """Write named groups of tensors and a JSON-able dict; an older file stays whole until the new one is."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"{group}/{name}": t.numpy() for group, state in states.items() for name, t in state.items()}
    arrays["meta"] = np.array(json.dumps(meta))
    arrays["digest"] = np.array(fingerprint(arrays))
    partial = folder / f"{NAME}.partial"
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / NAME)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """What `save` wrote, or None where there is none. Raises: Damaged when it cannot be read whole."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        digest = str(arrays.pop("digest"))
        if digest != fingerprint(arrays):
            raise Damaged("its contents are not those that were written")
        meta: dict[str, Any] = json.loads(str(arrays.pop("meta")))
    except Damaged:
        raise
    except Exception as error:  # a torn archive can raise almost anything
        raise Damaged(f"{type(error).__name__}: {error}") from error
    states: dict[str, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        group, _, name = key.partition("/")
        states.setdefault(group, {})[name] = torch.from_numpy(array)
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


def inputs_digest(*parts: Any) -> str:
    """A `fingerprint` of what is trained on and by which versions: what a checkpoint belongs to."""
    return fingerprint(FORMAT, _version(), torch.__version__, *parts)


def _version() -> str:
    try:
        return importlib.metadata.version("funnel-rank")
    except importlib.metadata.PackageNotFoundError:  # run from its source
        return ""


def fingerprint(*parts: Any) -> str:
    """sha256 over texts, numbers, None, arrays, tensors, and mappings, sequences and dataclasses of these.

    Different values have different fingerprints: each is hashed with its type, its shape and its length.
    Raises: TypeError for anything else, which could change without being noticed.
    """
    digest = hashlib.sha256()
    for piece in _pieces(parts):
        digest.update(len(piece).to_bytes(8, "little"))
        digest.update(piece)
    return digest.hexdigest()


def _pieces(value: Any) -> Iterable[bytes | memoryview]:
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    elif value is None or isinstance(value, bool | int | float | str | np.generic):
        yield f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
    else:
        parts = _parts(value)
        yield f"{type(value).__name__} {len(parts)}".encode()
        for part in parts:
            yield from _pieces(part)


def _parts(value: Any) -> list[Any]:
    """What a composed value consists of, names before what they name."""
    if is_dataclass(value):
        pairs = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, tuple | list):
        return list(value)
    else:
        raise TypeError(f"a checkpoint cannot be told by a {type(value).__name__}")
    return [part for pair in pairs for part in pair]
