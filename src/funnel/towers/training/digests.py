"""What a training is made from, told apart by a hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

#: To be raised when the same arguments come to train otherwise, or a checkpoint to hold something else.
FORMAT = 4


def inputs_digest(*parts: Any) -> str:
    """A `fingerprint` of what is trained on and by which versions: what a checkpoint belongs to."""
    return fingerprint(FORMAT, _version(), torch.__version__.partition("+")[0], *parts)


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
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    elif value is None or isinstance(value, bool | int | float | str | np.generic):
        yield f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
    else:
        yield from _composed(value)


def _composed(value: Any) -> Iterable[bytes | memoryview]:
    """Names before what they name, each looked at when its turn comes."""
    if isinstance(value, tuple | list):
        yield f"{type(value).__name__} {len(value)}".encode()
        for part in value:
            yield from _pieces(part)
        return
    names = list(value) if isinstance(value, Mapping) else [field.name for field in _fields(value)]
    kind = "mapping" if isinstance(value, Mapping) else type(value).__name__
    yield f"{kind} {len(names)}".encode()
    for name in names:
        yield from _pieces(name)
        yield from _pieces(value[name] if isinstance(value, Mapping) else getattr(value, name))


def _fields(value: Any) -> tuple[Any, ...]:
    if not is_dataclass(value):
        raise TypeError(f"a checkpoint cannot be told by a {type(value).__name__}")
    return fields(value)
