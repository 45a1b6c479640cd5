"""Bins of a value: by quantiles of what it was, with room for what is out of its range, and for none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bins:
    """bounds: rising; a bin reaches up to and with its bound, the last but one is above all, the last is for
    what is missing."""

    bounds: tuple[float, ...]

    @classmethod
    def of(cls, values: NDArray[np.float32] | NDArray[np.float64]) -> Bins:
        """By the tenths of some values; what is below and above all of them has a bin each."""
        there = np.asarray(values, dtype=np.float64)
        there = there[np.isfinite(there)]
        if not len(there):
            return cls((0.0,))
        tenths = np.quantile(there, np.linspace(0, 1, 11), method="inverted_cdf")
        least = np.nextafter(tenths[0], -math.inf)
        return cls(tuple(np.unique(np.append(tenths, least)).tolist()))

    @property
    def n_bins(self) -> int:
        """How many bins there are."""
        return len(self.bounds) + 2

    def bin(self, value: float) -> int:
        """That of a value."""
        if value != value:
            return len(self.bounds) + 1
        return int(np.searchsorted(self.bounds, value, side="left"))

    def bins(self, values: NDArray[np.float32] | NDArray[np.float64]) -> list[int]:
        """Those of several."""
        numbers = np.searchsorted(self.bounds, values, side="left")
        return np.where(np.isnan(values), len(self.bounds) + 1, numbers).tolist()


@dataclass(frozen=True)
class NameBins:
    """A bin a name; one for others, one for none."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], most: int = 20) -> NameBins:
        """The first of them."""
        return cls(tuple(names[:most]))

    @property
    def n_bins(self) -> int:
        """How many bins there are."""
        return len(self.names) + 2

    def bin(self, name: str | None) -> int:
        """That of a name."""
        if name is None:
            return len(self.names) + 1
        return self.names.index(name) if name in self.names else len(self.names)
