"""How far each position of a list is looked at, from logged lists and clicks."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from funnel.errors import DataError
from funnel.settings import Settings
from funnel.types import Bool

Float64 = NDArray[np.float64]

#: Positions that have a propensity of their own; those behind have the last one's.
MOST_POSITIONS = 50

#: Each position is smoothed towards the one above it, as if it had so many clicks more at that one's rate.
SMOOTHING = 2.0

_MOST_STEPS, _CLOSE = 1000, 1e-7
_PAIRS = 1 << 22  # cells of a dense table at a time: bounds memory, not results


class Propensities(Settings):
    """How often a position is looked at, over how often the first one is.

    values: by position from 0, above 0, the first 1; a position behind the last has the last one's. lo, hi:
    about 95%, by the curvature of the likelihood. clicks: that could be compared, of all.
    """

    values: tuple[float, ...] = Field(min_length=1, max_length=MOST_POSITIONS)
    lo: tuple[float, ...]
    hi: tuple[float, ...]
    clicks: int = Field(ge=0)

    @model_validator(mode="after")
    def _are_shares(self) -> Self:
        if not all(0 < value < np.inf for value in self.values) or self.values[0] != 1:
            raise ValueError("propensities are numbers above 0, and the first is 1")
        return self

    def at(self, positions: NDArray[Any]) -> Float64:
        """The propensity of each position, a whole number from 0: float64, of the same shape."""
        return np.array(self.values)[np.minimum(positions, len(self.values) - 1)]

    def examined(self, positions: NDArray[Any]) -> Float64:
        """The chance that each position is looked at, by what the first is: `at`, 1 at most."""
        return np.minimum(self.at(positions), 1.0)

    def weights(self, positions: NDArray[Any], clip: float) -> Float64:
        """What a click at each position counts: 1 / propensity, `clip` at most."""
        return np.minimum(1 / self.at(positions), clip)

    @classmethod
    def equal(cls) -> Self:
        """Every position is looked at as far as the first."""
        return cls(values=(1.0,), lo=(1.0,), hi=(1.0,), clicks=0)

    @property
    def sentence(self) -> str:
        """The first ten in a line."""
        shares = ", ".join(f"{value:.2f}" for value in self.values[:10])
        return f"positions are looked at, by {self.clicks:,} clicks on items shown at several: {shares}"


class _Cells(NamedTuple):
    """Impressions and clicks of each item at each position where it was shown: [M] each."""

    items: NDArray[np.int64]
    positions: NDArray[np.int64]
    shown: Float64
    clicked: Float64


def estimate_propensities(items: NDArray[Any], positions: NDArray[Any], clicked: Bool) -> Propensities:
    """The position-based model, P(click) = propensity of the position · relevance of the item, fitted to a
    log in which items were shown at different positions.

    Such items are an experiment that nobody had to make: what differs between positions is not the item
    (intervention harvesting: Agarwal, Zaitsev, Wang, Li, Najork and Joachims, Estimating Position Bias
    without Intrusive Interventions, WSDM 2019). Here all positions of all items are compared at once:
    given an item's clicks, they fall on its positions in proportion to impressions · propensity, and the
    propensities of the greatest likelihood of this are found by the fixed point of the model's EM (Wang,
    Golbandi, Bendersky, Metzler and Najork, Position Bias Estimation for Unbiased Learning to Rank in
    Personal Search, WSDM 2018). An item's relevance drops out of it, so that rare items bias nothing.

    items: int [N], what was shown. positions: int [N], from 0, or from wherever the log begins to count: the
    least is the first. clicked: bool [N].
    Raises: DataError where the log cannot say: no click, or no item with one that was at two positions, or
    positions that no item links to the first.
    """
    positions = np.minimum(positions, MOST_POSITIONS - 1)
    first = int(positions.min(initial=MOST_POSITIONS - 1))
    cells = _cells(np.asarray(items), positions - first, np.asarray(clicked))
    _check_linked(cells, first)
    values = _fitted(cells)
    error = _errors(cells, values)
    before = (1.0,) * first  # where nothing was shown
    return Propensities(
        values=(*before, *values.tolist()),
        lo=(*before, *(values * np.exp(-1.96 * error)).tolist()),
        hi=(*before, *(values * np.exp(1.96 * error)).tolist()),
        clicks=int(cells.clicked.sum()),
    )


def _cells(items: NDArray[Any], positions: NDArray[Any], clicked: Bool) -> _Cells:
    """Only of items that say something: shown at two positions or more, and clicked."""
    if len(items) == 0 or not clicked.any():
        raise DataError("no impression was clicked: nothing says how far positions are looked at")
    keys, cell = np.unique(items.astype(np.int64) * MOST_POSITIONS + positions, return_inverse=True)
    shown = np.bincount(cell).astype(np.float64)
    clicks = np.bincount(cell, weights=clicked).astype(np.float64)
    of, item = np.unique(keys // MOST_POSITIONS, return_inverse=True)
    useful = (np.bincount(item) > 1) & (np.bincount(item, weights=clicks) > 0)
    kept = useful[item]
    if not kept.any():
        raise DataError(
            f"none of {len(of):,} items was clicked and shown at two positions: positions cannot be compared"
        )
    numbers = np.unique(item[kept], return_inverse=True)[1]
    return _Cells(numbers, keys[kept] % MOST_POSITIONS, shown[kept], clicks[kept])


def _check_linked(cells: _Cells, first: int) -> None:
    """first: the number that the log gives to the first position.

    Raises: DataError for a position that cannot be compared with the first, over however many items.
    """
    last = int(cells.positions.max())
    linked = np.ones(last + 1, dtype=np.bool_)
    linked[cells.positions] = False  # one where no item was shown is smoothed from the one above
    linked[0] = True
    before = 0
    while linked.sum() > before:
        before = int(linked.sum())
        reached = np.bincount(cells.items, weights=linked[cells.positions]) > 0
        linked[cells.positions[reached[cells.items]]] = True
    if not linked.all():
        raise DataError(
            f"no clicked item links position {first + int((~linked).argmax())} to the first one, {first}: "
            "positions cannot be compared; show some items at both"
        )
    if not cells.clicked[cells.positions == 0].any():
        raise DataError(
            f"nothing was clicked at the first position, {first}: no other can be compared with it"
        )


def _fitted(cells: _Cells) -> Float64:
    """The propensities, by turns with the items' relevance, until they stay."""
    n = int(cells.positions.max()) + 1
    clicks_of_item = np.bincount(cells.items, weights=cells.clicked)
    clicks_at = np.bincount(cells.positions, weights=cells.clicked, minlength=n)
    values = np.ones(n)
    for _ in range(_MOST_STEPS):
        expected = np.bincount(cells.items, weights=cells.shown * values[cells.positions])
        relevance = clicks_of_item / expected
        looks = np.bincount(cells.positions, weights=cells.shown * relevance[cells.items], minlength=n)
        new = clicks_at / np.maximum(looks, np.finfo(np.float64).tiny)
        for at in range(1, n):
            new[at] = (clicks_at[at] + SMOOTHING) / (looks[at] + SMOOTHING / new[at - 1])
        new /= new[0]
        moved, values = np.abs(np.log(new / values)).max(), new
        if moved < _CLOSE:
            break
    return values


def _errors(cells: _Cells, values: Float64) -> Float64:
    """The standard error of the logarithm of each propensity, from the multinomials' Fisher information."""
    n, n_items = len(values), int(cells.items.max()) + 1
    clicks = np.bincount(cells.items, weights=cells.clicked)
    information = np.zeros((n, n))
    order = np.argsort(cells.items, kind="stable")
    starts = np.searchsorted(cells.items[order], np.arange(n_items + 1))
    for first in range(0, n_items, max(1, _PAIRS // n)):
        last = min(first + max(1, _PAIRS // n), n_items)
        some = order[starts[first] : starts[last]]
        shares = np.zeros((last - first, n))
        shares[cells.items[some] - first, cells.positions[some]] = (
            cells.shown[some] * values[cells.positions[some]]
        )
        shares /= shares.sum(axis=1, keepdims=True)
        weighted = shares * clicks[first:last, None]
        information += np.diag(weighted.sum(axis=0)) - shares.T @ weighted
    prior = np.diag(np.full(n - 1, SMOOTHING))
    spread = np.linalg.inv(information[1:, 1:] + prior)
    return np.append(0.0, np.sqrt(np.maximum(np.diag(spread), 0)))
