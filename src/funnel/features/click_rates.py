"""How often an item is clicked where it is shown and looked at, counted before any request that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.errors import BundleError
from funnel.features.arrays import frozen, load_array, save_array, wide
from funnel.features.click_factors import ClickFactors
from funnel.features.kernels import mean_of_values
from funnel.features.spec import Spec
from funnel.types import Bool, Features, Float32, Int32

Float64 = NDArray[np.float64]

#: As many expected clicks of the mean rate as each count begins with.
SMOOTHING = 10.0

_FILE = "click_rates.json"


@dataclass(frozen=True)
class ClickRates:
    """log of clicks over expected clicks (Zhang and Jones, Comparing Click Logs and Editorial Labels for
    Training Query Rewriting, WWW 2007, and COEC since), smoothed.

    What is expected of an impression is the mean rate of all, times how far its position is looked at: how
    often something was shown, and how high, says nothing of how good it is. items: float32 [n_items], 0 where
    an item was never shown. groups: the same by value of item columns of categories, float32 [values].
    factors: what of a request goes with what of an item, by the same clicks; None where that is not asked.
    """

    items: Float32
    groups: Mapping[str, Float32]
    factors: ClickFactors | None = None

    @classmethod
    def fit(
        cls,
        items: Int32,
        clicked: Bool,
        examined: Float64,
        item_features: Features,
        item_specs: Mapping[str, Spec],
        n_items: int,
    ) -> ClickRates:
        """From N impressions. items: rows. examined: how far each was looked at, above 0, 1 at most.
        item_features: encoded columns [n_items, …], whose forms are item_specs."""
        clicks: Float64 = np.bincount(items, clicked.astype(np.float64), n_items).astype(np.float64)
        looked: Float64 = np.bincount(items, examined, n_items).astype(np.float64)
        expected: Float64 = looked * (clicks.sum() / max(looked.sum(), 1e-12))
        groups = {
            name: _smoothed(*_by_value(item_features[name], clicks, expected, spec.size))
            for name, spec in item_specs.items()
            if spec.kind in ("category", "multi_category")
        }
        return cls(_smoothed(clicks, expected), groups)

    def of_items(self, items: Int32) -> Float32:
        """Of each item: float32, of the same shape; NaN at empty positions (−1), 0 behind the last row."""
        there = (items >= 0) & (items < len(self.items))
        own = self.items[np.where(there, items, 0)]
        return np.where(there, own, np.where(items < 0, np.float32(np.nan), np.float32(0)))

    def of_values(self, name: str, values: Int32, items: Int32) -> Float32:
        """Of the values that each item [B, K] has of a column, their mean: float32 [B, K]; NaN where it has
        none. values: int32 [n_items, width]."""
        return _of_values(self.groups[name], frozen(values, np.int32), frozen(items, np.int32))

    def save(self, folder: Path) -> None:
        """click_rates.json, and arrays numbered as listed there; and the factors' files."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.factors is not None:
            self.factors.save(folder)
        (folder / _FILE).write_text(json.dumps(list(self.groups)))
        save_array(folder, "click_rates", self.items)
        for number, rates in enumerate(self.groups.values()):
            save_array(folder, f"click_rates.group.{number}", rates)

    @classmethod
    def load(
        cls,
        folder: Path,
        n_items: int,
        item_specs: Mapping[str, Spec],
        moment_specs: Mapping[str, Spec] | None = None,
    ) -> ClickRates | None:
        """What `save` wrote, mapped; None where there is none. moment_specs: see `ClickFactors.load`. Raises:
        BundleError where it is damaged."""
        path = folder / _FILE
        if not path.exists():
            return None
        try:
            names = list(map(str, json.loads(path.read_text())))
            groups = {
                name: load_array(folder, f"click_rates.group.{number}", "float32", item_specs[name].size)
                for number, name in enumerate(names)
            }
            factors = ClickFactors.load(folder, n_items, item_specs, moment_specs or {})
            return cls(load_array(folder, "click_rates", "float32", n_items), groups, factors)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} cannot be read ({error!r}); build the bundle again") from error


def _smoothed(clicks: Float64, expected: Float64) -> Float32:
    return frozen(np.log((clicks + SMOOTHING) / (expected + SMOOTHING)), np.float32)


def _by_value(column: NDArray[Any], clicks: Float64, expected: Float64, size: int) -> tuple[Float64, Float64]:
    """Clicks and expected clicks of the items of each value: float64 [size] each."""
    of = wide(column)
    sums = np.zeros((2, size))
    for position in range(of.shape[1]):
        there = of[:, position] > 0
        for total, counts in zip(sums, (clicks, expected), strict=True):
            total += np.bincount(of[there, position], weights=counts[there], minlength=size)
    return sums[0], sums[1]


@compiled
def _of_values(rates: Any, values: Any, items: Any) -> Any:
    out = np.full(items.shape, np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        mean_of_values(rates, values, items[row], out[row])
    return out
