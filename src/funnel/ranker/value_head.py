"""Scores become values: what an event of one kind is worth on average, fitted on what trees did not see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from funnel.errors import BundleError
from funnel.ranker.value_trees import MOST_SCORE
from funnel.settings import Settings

Float64 = NDArray[np.float64]

_FILE = "values.json"

#: Newton's method ends after so many steps, or when no coefficient moves by more.
_MOST_STEPS, _LEAST_STEP = 50, 1e-10

#: Scores are logarithms: where they spread less, no two events are told apart.
_LEAST_SPREAD = 1e-2


class ValueHead(Settings):
    """What an event of one kind is worth, as a function of its trees' score: exp(start + slope · score).

    rows: events that it was fitted on. mean: of their values.
    """

    start: float = Field(ge=-1000, le=1000)
    slope: float = Field(ge=0, le=1000)
    rows: int = Field(ge=0)
    mean: float = Field(ge=0)

    def __call__(self, scores: NDArray[Any]) -> Float64:
        """The value at each score: float64, of the same shape; it never falls as the score rises."""
        values: Float64 = np.exp(self.start + self.slope * np.clip(scores, -MOST_SCORE, MOST_SCORE))
        return values


def fit_value(scores: Float64, values: Float64) -> ValueHead:
    """Start and slope for which what is predicted has the values' sum, and their sum weighted by the score:
    Poisson's equations of a log-linear mean, which hold for any distribution (Gourieroux, Monfort and
    Trognon, Pseudo Maximum Likelihood Methods, Econometrica 1984).

    scores: float64 [N], of trees that did not see the rows. values: float64 [N], at least 0, not all 0. Where
    the slope would be below 0 every row gets the mean.
    """
    mean = float(values.mean())
    z = np.clip(scores, -MOST_SCORE, MOST_SCORE)
    centre, scale = float(z.mean()), float(z.std())
    if scale < _LEAST_SPREAD:
        return flat(values)
    start, slope = _newton((z - centre) / scale, values / mean)
    if slope <= 0:
        return flat(values)
    at_zero = start - slope * centre / scale + float(np.log(mean))
    return ValueHead(start=at_zero, slope=slope / scale, rows=len(values), mean=mean)


def flat(values: Float64) -> ValueHead:
    """The mean of the values, whatever the score; 0 where none is known."""
    mean = float(values.mean()) if len(values) else 0.0
    return ValueHead(
        start=float(np.log(mean)) if mean > 0 else -1000.0, slope=0.0, rows=len(values), mean=mean
    )


def _newton(z: Float64, values: Float64) -> tuple[float, float]:
    """Start and slope of the mean exp(start + slope · z), steps halved where the likelihood would fall."""
    x, columns = np.zeros(2), np.column_stack([np.ones_like(z), z])
    best = _likelihood(columns @ x, values)
    for _ in range(_MOST_STEPS):
        mean = np.exp(columns @ x)
        step = np.linalg.solve((columns.T * mean) @ columns + 1e-12 * np.eye(2), columns.T @ (values - mean))
        while (at := _likelihood(columns @ (x + step), values)) < best and np.abs(step).max() > _LEAST_STEP:
            step = step / 2
        if np.abs(step).max() <= _LEAST_STEP:
            break
        x, best = x + step, at
    return float(x[0]), float(x[1])


def _likelihood(log_mean: Float64, values: Float64) -> float:
    with np.errstate(over="ignore"):
        return float(values @ log_mean - np.exp(log_mean).sum())


def save_values(folder: Path, heads: Mapping[str, ValueHead]) -> None:
    """Write `values.json`, a head a key; nothing where there are none."""
    if heads:
        content = {name: head.model_dump(mode="json") for name, head in heads.items()}
        (folder / _FILE).write_text(json.dumps(content, indent=1, sort_keys=True))


def load_values(folder: Path) -> dict[str, ValueHead]:
    """What `save_values` wrote; none in a bundle without. Raises: BundleError for a file that is damaged."""
    path = folder / _FILE
    if not path.is_file():
        return {}
    try:
        return TypeAdapter(dict[str, ValueHead]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path}: no values of events ({error})") from error
