"""Did the data arrive whole: columns, rows and gaps beside the published bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.bundle.schemas import columns_gone
from funnel.data import Schema
from funnel.features import Spec
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most
from funnel.types import Features


def schema(new: Schema, published: Schema, config: GatesConfig) -> Finding:
    """Columns that callers and features may use and that are gone, or of another kind."""
    gone = columns_gone(published, new)
    what = f"columns gone or of another kind ({', '.join(gone)})" if gone else "columns gone"
    return at_most("schema", len(gone), config.columns_gone, what)


def rows(new: Contents, published: Contents, config: GatesConfig) -> list[Finding]:
    """How far the numbers of items, users and events are from those of the published bundle."""
    before, after = _sizes(published), _sizes(new)
    return [
        at_most(
            "rows",
            abs(after[name] / max(before[name], 1) - 1),
            config.rows,
            f"change of {name}, {before[name]:,} to {after[name]:,}",
        )
        for name in before
    ]


def gaps(new: Contents, published: Contents, config: GatesConfig) -> list[Finding]:
    """The column of each table whose share of missing values has risen most."""
    found = []
    pairs = {
        "items": (_gaps(_items(new)), _gaps(_items(published))),
        "users": (_gaps(_users(new)), _gaps(_users(published))),
    }
    for table, (after, before) in pairs.items():
        rises = {name: after[name] - before[name] for name in after if name in before}
        if rises:
            worst = max(rises, key=lambda name: rises[name])
            what = f"{table}.{worst} without a value, {before[worst]:.1%} to {after[worst]:.1%}, a rise of"
            found.append(at_most("gaps", rises[worst], config.gaps, what))
    return found


def _sizes(contents: Contents) -> dict[str, int]:
    users = contents.users
    return {
        "items": len(contents.catalogue.ids),
        "users": len(users.ids),
        "events": len(users.history.values),
    }


def _items(contents: Contents) -> tuple[Features, Mapping[str, Spec]]:
    return contents.catalogue.features, contents.encoder.item_specs


def _users(contents: Contents) -> tuple[Features, Mapping[str, Spec]]:
    return contents.users.features, contents.users.encoder.specs


def _gaps(table: tuple[Features, Mapping[str, Spec]]) -> dict[str, float]:
    """For each encoded column, the share of rows without a value that is known."""
    features, specs = table
    return {name: float(np.mean(_missing(features[name], spec))) for name, spec in specs.items()}


def _missing(values: NDArray[Any], spec: Spec) -> NDArray[np.bool_]:
    if spec.kind == "number":
        return np.asarray(values[:, 1] > 0)
    return np.asarray(~values.reshape(len(values), -1).any(axis=1))
