"""Encoded columns on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.features import Spec
from funnel.types import Features
from funnel.values.arrays import check_rows, mapped


def save_features(features: Features, folder: Path) -> None:
    """columns.json, and one .npy a column, numbered as listed there: a column may have any name."""
    folder.mkdir(parents=True)
    (folder / "columns.json").write_text(json.dumps(list(features)))
    for number, values in enumerate(features.values()):
        np.save(folder / f"{number}.npy", values)


def load_features(folder: Path, specs: Mapping[str, Spec], n: int) -> Features:
    """What `save_features` wrote, memory-mapped: encoded columns of these forms, of n rows.

    Raises: BundleError when a column is missing, unknown, or not of its form.
    """
    path = folder / "columns.json"
    try:
        names = json.loads(path.read_text())
        paths = {name: folder / f"{number}.npy" for number, name in enumerate(names)}
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error
    if set(paths) != set(specs):
        raise BundleError(f"{path}: columns {sorted(paths)}; the towers read {sorted(specs)}")
    return {name: _column(path, specs[name], n) for name, path in paths.items()}


def _column(path: Path, spec: Spec, n: int) -> NDArray[Any]:
    if spec.kind in ("number", "vector"):
        return mapped(path, "float32", n, spec.width)
    codes = mapped(path, "int32", *((n,) if spec.kind == "category" else (n, spec.width)))
    check_rows(codes, spec.size, path)
    return codes


def check_specs(encoded: Mapping[str, Spec | None], read: Mapping[str, Spec], folder: Path) -> None:
    """Raises: BundleError when an encoder makes columns of other forms than the towers read."""
    for name in sorted({*encoded, *read}):
        if encoded.get(name) != read.get(name):
            raise BundleError(
                f"{folder}: column {name!r} is encoded as {encoded.get(name)}, "
                f"the towers read {read.get(name)}; build the bundle again"
            )
