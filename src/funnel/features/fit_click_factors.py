"""Fitting `ClickFactors` by stochastic gradient steps, a shown list after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.click_factors import FADE, ClickFactors, codes_of
from funnel.features.spec import Spec
from funnel.types import Bool, Features, Float32, Int32, Ragged, Requests

Float64 = NDArray[np.float64]

#: Length of the vectors, passes over the lists, and size of the steps (AdaGrad: Duchi, Hazan and Singer, JMLR
#: 2011). Chosen by the log loss of later lists, see docs/probabilities.md.
WIDTH, EPOCHS, RATE = 32, 8, 0.03

#: How strongly a pass pulls towards 0 what it meets, whatever the number of times: biases, vectors of items'
#: categories, those of requests. It is 1 / the variance that numbers are thought to have.
PULLS = (2.0, 10.0, 1.0)

#: Standard deviation of what the request's side begins with; the item's begins with 0.
_BEGIN = 0.1

#: Bounds of how strongly rates are smoothed.
_SMOOTHING = (0.5, 1e4)

#: Keeps logarithms and divisions finite.
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class ShownClicks:
    """L lists that were shown, with N items.

    requests: [L], each before what came of its list. recent: items of each history, newest first. items: of
    the lists, int32 [N] values. clicked: bool [N]. examined: float64 [N], how far each was looked at.
    further: by kind of event whether one came of the row, bool [N].
    """

    requests: Requests
    recent: Ragged
    items: Ragged
    clicked: Bool
    examined: Float64
    further: Mapping[str, Bool] = field(default_factory=dict)


class _Parts(NamedTuple):
    """Categories of n things, as numbers in one table of all columns: int32 [n, width], −1 is none; and what
    each counts: float32, 1 over the number that its column has."""

    numbers: Int32
    counts: Float32


def fit_click_factors(
    lists: ShownClicks,
    item_features: Features,
    item_specs: Mapping[str, Spec],
    moment_specs: Mapping[str, Spec],
    *,
    seed: int = 0,
    width: int = WIDTH,
    epochs: int = EPOCHS,
) -> ClickFactors | None:
    """The factors of the greatest likelihood of the position-based model, less a pull towards zero. None
    where items have no categories.

    moment_specs: of columns of users and of the moment, by their names in `ClickFactors.moments`. The lists
    are taken in another order by chance each epoch; the same arguments give the same factors.
    """
    names, moments = _categories(item_specs), _categories(moment_specs)
    if not names:
        return None
    sizes, moment_sizes = (
        [item_specs[name].size for name in names],
        [moment_specs[name].size for name in moments],
    )
    n_items, rng = len(item_features[names[0]]), np.random.default_rng(seed)
    items = _parts([item_features[name] for name in names], sizes, n_items)
    wanted = _parts([codes_of(lists.requests, name) for name in moments], moment_sizes, len(lists.requests))
    start = _start(lists)
    tables = (
        np.zeros(n_items), np.zeros((sum(sizes), 1 + width)), rng.normal(0, _BEGIN, (sum(sizes), width)),
        rng.normal(0, _BEGIN, (sum(moment_sizes), width)),
    )  # fmt: skip
    squares = [np.zeros_like(table) for table in tables]
    given = (
        frozen(lists.items.offsets),
        frozen(lists.items.values, np.int32),
        frozen(lists.clicked),
        frozen(lists.examined),
    )
    recent = frozen(lists.recent.offsets, np.int64), frozen(lists.recent.values, np.int32)
    pulls = _pulls(lists, items, wanted, [len(table) for table in tables])
    for _ in range(epochs):
        order = rng.permutation(len(lists.requests))
        _epoch(order, *given, *recent, *items, *wanted, start, *tables, *squares, *pulls, FADE, RATE)
    kept = [_touched(table, of) for table, of in zip(tables, squares, strict=True)]
    return ClickFactors(
        start,
        kept[0],
        dict(zip(names, _cut(kept[1], sizes), strict=True)),
        dict(zip(names, _cut(kept[2], sizes), strict=True)),
        dict(zip(moments, _cut(kept[3], moment_sizes), strict=True)),
        {name: log_rates(lists, came, n_items) for name, came in lists.further.items()},
    )


def log_rates(lists: ShownClicks, came: Bool, n_items: int) -> Float32:
    """Of each item the logarithm of how many events a click has: float32 [n_items + 1], the last of all.

    Smoothed by the rate of all, as strongly as items differ little: rates over that of all are thought to be
    gamma distributed, of shape and rate s, and counts Poisson distributed around what is expected of the
    clicks. s is that of the moments: Σ E² / Σ ((C − E)² − E) (empirical Bayes: Clayton and Kaldor, Biometrics
    1987). The rate of all counts half an event more, so that none is impossible. came: bool [N].
    """
    items = lists.items.values
    clicks = np.bincount(items, lists.clicked, n_items)
    events = np.bincount(items, came, n_items)
    rate = (events.sum() + 0.5) / (clicks.sum() + 1.0)
    expected = clicks * rate
    more = float(((events - expected) ** 2 - expected).sum())
    smoothing = float(np.clip((expected**2).sum() / max(more, _TINY), *_SMOOTHING))
    logs = np.log(rate) + np.log((events + smoothing) / (expected + smoothing))
    return frozen(np.append(logs, np.log(rate)), np.float32)


def _categories(specs: Mapping[str, Spec]) -> list[str]:
    return [name for name, spec in specs.items() if spec.kind in ("category", "multi_category")]


def _parts(columns: Sequence[NDArray[Any] | None], sizes: Sequence[int], n: int) -> _Parts:
    """The codes of columns of n rows each, behind one another in a table; None is a column without any."""
    numbers, counts, begin = [np.empty((n, 0), np.int32)], [np.empty((n, 0), np.float32)], 0
    for column, size in zip(columns, sizes, strict=True):
        if column is not None:
            codes = np.reshape(column, (n, -1))
            there = codes > 0
            numbers.append(np.where(there, codes + begin, -1).astype(np.int32))
            counts.append((there / np.maximum(1, there.sum(axis=1, keepdims=True))).astype(np.float32))
        begin += size
    return _Parts(frozen(np.concatenate(numbers, axis=1)), frozen(np.concatenate(counts, axis=1)))


def _start(lists: ShownClicks) -> float:
    """Log odds of a click on what is looked at."""
    rate = (lists.clicked.sum() + 1) / (lists.examined.sum() + 2)
    return float(np.log(rate / max(1 - rate, _TINY)))


def _pulls(lists: ShownClicks, items: _Parts, wanted: _Parts, sizes: Sequence[int]) -> list[Float64]:
    """How strongly each row of each table is pulled each time that it comes up: its pull of a pass over the
    number of times. Of values of items: of biases and of vectors."""
    shown, history = lists.items.values, lists.recent.values
    of_items: Float64 = np.asarray(1.0 + np.bincount(shown, minlength=sizes[0]), dtype=np.float64)
    of_values: Float64 = 1.0 + _times(items.numbers, np.bincount(shown, minlength=sizes[0]), sizes[1])
    of_tastes = 1.0 + _times(items.numbers, np.bincount(history, minlength=sizes[0]), sizes[2])
    of_moments = 1.0 + _times(wanted.numbers, np.ones(len(wanted.numbers)), sizes[3])
    bias, vector, request = PULLS
    return [bias / of_items, bias / of_values, vector / of_values, request / of_tastes, request / of_moments]


def _times(numbers: Int32, times: NDArray[Any], size: int) -> Float64:
    """How often each row of a table comes up, where each of n things does so many times: float64 [size]."""
    total = np.zeros(size)
    for column in numbers.T:
        there = column >= 0
        total += np.bincount(column[there], weights=times[there], minlength=size)
    return total


def _touched(table: Float64, squares: Float64) -> Float32:
    """A table as it is kept: 0 where no step was taken, whatever it began with."""
    return frozen(np.where(squares > 0, table, 0.0), np.float32)


def _cut(table: Float32, sizes: Sequence[int]) -> list[Float32]:
    return [frozen(part) for part in np.split(table, np.cumsum(sizes)[:-1])] if sizes else []


@compiled
def _epoch(
    order: Any, offsets: Any, shown: Any, clicked: Any, examined: Any, history_offsets: Any, history: Any,
    parts: Any, counts: Any, moment_parts: Any, moment_counts: Any, start: float,
    biases: Any, values: Any, tastes: Any, moments: Any,
    bias_squares: Any, value_squares: Any, taste_squares: Any, moment_squares: Any,
    bias_pulls: Any, value_bias_pulls: Any, value_pulls: Any, taste_pulls: Any, moment_pulls: Any,
    fade: float, rate: float,
) -> None:  # fmt: skip
    """One step a shown item on what it is made of, and one a list on what its request is made of."""
    d = tastes.shape[1]
    wanted, offered, slope = np.zeros(d), np.zeros(1 + d), np.zeros(d)
    for row in order:
        n = history_offsets[row + 1] - history_offsets[row]
        share = n**-fade if n > 0 else 0.0
        wanted[:] = 0.0
        slope[:] = 0.0
        _add(moment_parts[row], moment_counts[row], moments, 1.0, wanted)
        for event in range(history_offsets[row], history_offsets[row + 1]):
            _add(parts[history[event]], counts[history[event]], tastes, share, wanted)
        for position in range(offsets[row], offsets[row + 1]):
            item = shown[position]
            offered[:] = 0.0
            _add(parts[item], counts[item], values, 1.0, offered)
            odds = start + biases[item] + offered[0]
            for i in range(d):
                odds += wanted[i] * offered[1 + i]
            chance = 1.0 / (1.0 + np.exp(-odds))
            looked = examined[position]
            # Of log P(click) = log(looked · chance) and of log(1 − looked · chance), in the log odds.
            down = looked * chance * (1.0 - chance) / max(1.0 - looked * chance, _TINY)
            gradient = chance - 1.0 if clicked[position] else down
            for i in range(d):
                slope[i] += gradient * offered[1 + i]
            biases[item] -= _step(gradient + bias_pulls[item] * biases[item], item, bias_squares, rate)
            for at in range(parts.shape[1]):
                part = parts[item, at]
                if part >= 0:
                    own = gradient * counts[item, at]
                    pulled = own + value_bias_pulls[part] * values[part, 0]
                    values[part, 0] -= _step(pulled, 0, value_squares[part], rate)
                    for i in range(d):
                        pulled = own * wanted[i] + value_pulls[part] * values[part, 1 + i]
                        values[part, 1 + i] -= _step(pulled, 1 + i, value_squares[part], rate)
        _move(moment_parts[row], moment_counts[row], slope, 1.0, moments, moment_squares, moment_pulls, rate)
        for event in range(history_offsets[row], history_offsets[row + 1]):
            item = history[event]
            _move(parts[item], counts[item], slope, share, tastes, taste_squares, taste_pulls, rate)


@compiled(inner=True)
def _add(parts: Any, counts: Any, table: Any, share: float, out: Any) -> None:
    """Add what parts have in a table [n, w] to out [w]."""
    for at in range(len(parts)):
        if parts[at] >= 0:
            for i in range(len(out)):
                out[i] += share * counts[at] * table[parts[at], i]


@compiled(inner=True)
def _move(
    parts: Any, counts: Any, slope: Any, share: float, table: Any, squares: Any, pulls: Any, rate: float
) -> None:
    """One step on what parts have in a table [n, d]."""
    for at in range(len(parts)):
        part = parts[at]
        if part >= 0:
            for i in range(len(slope)):
                pulled = share * counts[at] * slope[i] + pulls[part] * table[part, i]
                table[part, i] -= _step(pulled, i, squares[part], rate)


@compiled(inner=True)
def _step(gradient: float, at: int, squares: Any, rate: float) -> float:
    """AdaGrad's: the rate, over the root of all squared gradients so far."""
    squares[at] += gradient * gradient
    return rate * gradient / np.sqrt(squares[at] + _TINY)
