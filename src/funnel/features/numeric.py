"""Encoders of numbers and vectors: always finite, whatever comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.features.spec import Spec
from funnel.types import Float32, Float64
from funnel.values.numbers import lenient

#: Numbers are cut at so many standard deviations.
CLIP = 5.0

#: A number so many interquartile ranges away from the median is a mistake, beside which others are all alike.
FAR = 1e6


@dataclass(frozen=True)
class NumberEncoder:
    """Standardised by the mean and the deviation of the finite values that it was fitted on, but for those
    further than FAR from the others."""

    mean: float
    deviation: float

    @classmethod
    def fit(cls, values: Sequence[Any]) -> NumberEncoder:
        """Mean 0 and deviation 1 where no value is finite; deviation 1 where all are equal."""
        finite = lenient(values)
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return cls(0.0, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            finite = _near(finite) if finite.min() < finite.max() else finite
            if finite.min() == finite.max():  # whose deviation is rounding noise
                return cls(float(finite[0]), 1.0)
            mean, deviation = float(finite.mean()), float(finite.std())
        if not np.isfinite([mean, deviation]).all():
            return cls(0.0, 1.0)
        return cls(mean, deviation or 1.0)  # of the least numbers there are it is 0

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("number", 2, 2)

    def encode(self, values: Sequence[Any]) -> Float32:
        """float32 [n, 2]."""
        numbers = lenient(values)
        known = np.isfinite(numbers)
        scaled = (np.where(known, numbers, self.mean) - self.mean) / self.deviation
        return np.stack([np.clip(scaled, -CLIP, CLIP), ~known], axis=1).astype(np.float32)


def _near(numbers: Float64) -> Float64:
    """Without those that are FAR from the others. Where the middle half is one value, such as 0, the range
    is how far three quarters of the values that differ from it are at most."""
    low, median, high = np.quantile(numbers, (0.25, 0.5, 0.75))
    away = np.abs(numbers - median)
    range_ = high - low or np.quantile(away[away > 0], 0.75, method="lower")
    return numbers[~(away > FAR * range_)]


@dataclass(frozen=True)
class VectorEncoder:
    """Vectors as they are; what is missing or not finite is 0."""

    name: str
    size: int

    @classmethod
    def fit(cls, values: Sequence[Any], name: str, size: int | None) -> VectorEncoder:
        """Raises DataError when the size is neither given nor to be seen."""
        seen = (len(value) for value in values if isinstance(value, np.ndarray | list | tuple))
        length = size or next(seen, 0)
        if not length:
            raise DataError(
                f"vector column {name!r} has no size: no row holds a vector; give `size` in the schema"
            )
        return cls(name, length)

    @property
    def spec(self) -> Spec:
        """See `Spec`."""
        return Spec("vector", self.size, self.size)

    def encode(self, values: Sequence[Any]) -> Float32:
        """float32 [n, size]. Raises DataError for a vector of another length."""
        out = np.zeros((len(values), self.size), dtype=np.float32)
        for row, value in enumerate(values):
            if not isinstance(value, np.ndarray | list | tuple):
                continue
            if len(value) != self.size:
                raise DataError(
                    f"vector column {self.name!r}, row {row}: {len(value)} numbers, {self.size} are expected"
                )
            with np.errstate(over="ignore"):
                out[row] = np.asarray(value, dtype=np.float32)
        return np.nan_to_num(out, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
