"""How much more often an item is taken in a context than elsewhere, counted before any request that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.features.arrays import frozen, load_array, save_array, wide
from funnel.features.spec import Spec
from funnel.types import Features, Float32, Int32, Int64, Log
from funnel.values.arrays import check_offsets, check_rows

#: Contexts with more codes than this have no rates, and tables of values by contexts no more cells: there
#: is too little of each to count.
MOST_CODES, MOST_CELLS = 256, 1 << 22

#: As many events as one context's share is believed like: half of the evidence where an item has as many.
SMOOTHING = 20.0


@dataclass(frozen=True)
class Rates:
    """Events of one context column by item and by context.

    offsets: int64 [n_items + 1] into codes, counts: int32 [N], the contexts that each item has events in,
    codes rising. totals: int64 [size], events by context; code 0, which is not known, has none.
    groups: for item columns of categories, events by value and context: int64 [values, size].
    """

    offsets: Int64
    codes: Int32
    counts: Int32
    totals: Int64
    groups: Mapping[str, Int64]

    @classmethod
    def fit(
        cls, log: Log, codes: Int32, size: int, item_features: Features, item_specs: Mapping[str, Spec]
    ) -> Rates:
        """From a log, and the context of each of its events: int32 [N]."""
        known = codes > 0
        items, codes = log.items[known], codes[known]
        pairs, counts = np.unique(items.astype(np.int64) * size + codes, return_counts=True)
        offsets = np.zeros(log.n_items + 1, dtype=np.int64)
        np.cumsum(np.bincount(pairs // size, minlength=log.n_items), out=offsets[1:])
        groups = {
            name: _by_value(item_features[name], items, codes, spec.size, size)
            for name, spec in item_specs.items()
            if spec.kind in ("category", "multi_category") and spec.size * size <= MOST_CELLS
        }
        totals = np.bincount(codes, minlength=size).astype(np.int64)
        return cls(
            frozen(offsets), frozen(pairs % size, np.int32), frozen(counts, np.int32), frozen(totals), groups
        )

    @cached_property
    def lifts(self) -> dict[str, Float32]:
        """The logarithms of each value in each context, worked out once: float32 [values, size]."""
        share = (self.totals + 1.0) / (self.totals.sum() + len(self.totals))
        lifts = {}
        for name, table in self.groups.items():
            own = table.sum(axis=1, keepdims=True)
            lift = (table + SMOOTHING * share) / ((own + SMOOTHING) * share)
            lifts[name] = frozen(np.log(lift), np.float32)
        return lifts


def fit_rates(
    log: Log, context: Features, specs: Mapping[str, Spec], items: Features, item_specs: Mapping[str, Spec]
) -> dict[str, Rates]:
    """Rates of each context column of categories that is not too large. context: columns of the whole table
    of events, in which `log.rows` finds its own; items: encoded item columns."""
    return {
        name: Rates.fit(log, np.asarray(context[name])[log.rows], spec.size, items, item_specs)
        for name, spec in specs.items()
        if spec.kind == "category" and spec.size <= MOST_CODES
    }


def save_rates(rates: Mapping[str, Rates], folder: Path) -> None:
    """rates.json, and arrays numbered as listed there."""
    folder.mkdir(parents=True, exist_ok=True)
    about = [{"name": name, "groups": list(of.groups)} for name, of in rates.items()]
    (folder / "rates.json").write_text(json.dumps(about))
    for number, of in enumerate(rates.values()):
        for part in ("offsets", "codes", "counts", "totals"):
            save_array(folder, f"rates.{number}.{part}", getattr(of, part))
        for position, table in enumerate(of.groups.values()):
            save_array(folder, f"rates.{number}.group.{position}", table)


def load_rates(
    folder: Path, n_items: int, specs: Mapping[str, Spec], item_specs: Mapping[str, Spec]
) -> dict[str, Rates]:
    """What `save_rates` wrote, mapped; nothing where there is none. Raises: BundleError where it is
    damaged."""
    path = folder / "rates.json"
    if not path.exists():
        return {}
    try:
        about = [
            (str(entry["name"]), list(map(str, entry["groups"]))) for entry in json.loads(path.read_text())
        ]
        return {
            name: _loaded(folder, number, n_items, specs[name].size, {g: item_specs[g].size for g in groups})
            for number, (name, groups) in enumerate(about)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error


def _loaded(folder: Path, number: int, n_items: int, size: int, groups: Mapping[str, int]) -> Rates:
    offsets = load_array(folder, f"rates.{number}.offsets", "int64", n_items + 1)
    codes = load_array(folder, f"rates.{number}.codes", "int32", None)
    counts = load_array(folder, f"rates.{number}.counts", "int32", len(codes))
    totals = load_array(folder, f"rates.{number}.totals", "int64", size)
    check_offsets(offsets, len(codes), folder / f"rates.{number}.offsets.npy")
    check_rows(codes, size, folder / f"rates.{number}.codes.npy")
    tables = {
        name: load_array(folder, f"rates.{number}.group.{position}", "int64", values, size)
        for position, (name, values) in enumerate(groups.items())
    }
    return Rates(offsets, codes, counts, totals, tables)


def _by_value(column: NDArray[Any], items: Int32, codes: Int32, values: int, size: int) -> Int64:
    """Events by value and context: int64 [values, size]."""
    of = wide(column)
    table = np.zeros(values * size, dtype=np.int64)
    for position in range(of.shape[1]):
        value = of[items, position].astype(np.int64)
        there = value > 0
        table += np.bincount(value[there] * size + codes[there], minlength=values * size)
    return frozen(table.reshape(values, size))
