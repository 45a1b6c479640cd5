"""Did the data arrive whole: columns, rows and gaps beside the published bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.catalogue.schemas import columns_gone
from funnel.data import Schema
from funnel.features import Spec
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most
from funnel.types import Features


@dataclass(frozen=True)
class Arrived:
    """What has come: columns, sizes of the tables, and their encoded columns, with the forms of those."""

    schema: Schema
    sizes: Mapping[str, int]
    items: tuple[Features, Mapping[str, Spec]]
    users: tuple[Features, Mapping[str, Spec]]

    @classmethod
    def of(cls, contents: Contents, schema: Schema) -> Arrived:
        """What has come into a bundle."""
        users = contents.users
        return cls(
            schema,
            {
                "items": len(contents.catalogue.ids),
                "users": len(users.ids),
                "events": len(users.history.values),
            },
            (contents.catalogue.features, contents.encoder.item_specs),
            (users.features, users.encoder.specs),
        )


def arrived(new: Arrived, published: Arrived, config: GatesConfig) -> list[Finding]:
    """Every gate on the tables, beside those of the published bundle."""
    return [
        schema(new.schema, published.schema, config),
        *_rows(new.sizes, published.sizes, config),
        *_rises(new, published, config),
    ]


def schema(new: Schema, published: Schema, config: GatesConfig) -> Finding:
    """Columns that callers and features may use and that are gone, or of another kind."""
    gone = columns_gone(published, new)
    what = f"columns gone or of another kind ({', '.join(gone)})" if gone else "columns gone"
    return at_most("schema", len(gone), config.columns_gone, what)


def _rows(after: Mapping[str, int], before: Mapping[str, int], config: GatesConfig) -> list[Finding]:
    """How far the numbers of items, users and events are from those of the published bundle."""
    return [
        at_most(
            "rows",
            abs(after[name] / max(before[name], 1) - 1),
            config.rows,
            f"change of {name}, {before[name]:,} to {after[name]:,}",
        )
        for name in before
    ]


def _rises(new: Arrived, published: Arrived, config: GatesConfig) -> list[Finding]:
    """The column of each table whose share of missing values has risen most."""
    findings = []
    pairs = {"items": (new.items, published.items), "users": (new.users, published.users)}
    for table, (now, then) in pairs.items():
        after, before = _gaps(now), _gaps(then)
        rises = {name: after[name] - before[name] for name in after if name in before}
        if rises:
            worst = max(rises, key=lambda name: rises[name])
            what = f"{table}.{worst} without a value, {before[worst]:.1%} to {after[worst]:.1%}, a rise of"
            findings.append(at_most("gaps", rises[worst], config.gaps, what))
    return findings


def _gaps(table: tuple[Features, Mapping[str, Spec]]) -> dict[str, float]:
    """For each encoded column, the share of rows without a value that is known."""
    features, specs = table
    return {name: float(np.mean(_missing(features[name], spec))) for name, spec in specs.items()}


def _missing(values: NDArray[Any], spec: Spec) -> NDArray[np.bool_]:
    if spec.kind == "number":
        return np.asarray(values[:, 1] > 0)
    return np.asarray(~values.reshape(len(values), -1).any(axis=1))
