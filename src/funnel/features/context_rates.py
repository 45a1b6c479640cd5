"""How much more often items, and the values that they have, are taken in a context: all rates in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from funnel.compiling import compiled, frozen
from funnel.features.arrays import wide
from funnel.features.kernels import bisect
from funnel.features.rates import SMOOTHING, Rates
from funnel.types import Features, Float32, Int32

#: Stands for tables where there is none: compiled code takes no empty tuple.
_NO_VALUES = frozen(np.zeros((1, 1), dtype=np.int32))
_NO_LIFTS = frozen(np.zeros((1, 1), dtype=np.float32))


class ContextRates:
    """The rates of several columns of the context, laid out for compiled code.

    names: of what `fill` gives: for each column (column, None), the rates of items, and then (column, item
    column) for those of the values that an item has, their mean.
    """

    def __init__(self, rates: Mapping[str, Rates]) -> None:
        self.names = tuple([(name, group) for name, of in rates.items() for group in (None, *of.groups)])
        self._columns = tuple(rates)
        self._items = tuple([(of.offsets, of.codes, of.counts, of.totals) for of in rates.values()])
        self._item_at = np.array([self.names.index((name, None)) for name in rates], dtype=np.int64)
        self._groups = tuple(dict.fromkeys(group for _, group in self.names if group is not None))
        pairs = [(name, group) for group in self._groups for name, of in rates.items() if group in of.groups]
        self._lifts = tuple([rates[name].lifts[group] for name, group in pairs]) or (_NO_LIFTS,)
        self._value_at = np.array([self.names.index(pair) for pair in pairs], dtype=np.int64)
        self._of_column = np.array([self._columns.index(name) for name, _ in pairs], dtype=np.int64)
        of_group = [sum(group == own for _, group in pairs) for own in self._groups]
        self._starts = np.cumsum([0, *of_group], dtype=np.int64)

    def fill(
        self, items: Int32, context: Mapping[str, Any], values: Features, out: Float32, first: int
    ) -> None:
        """Write the rates of the items of each request [B, K] to out[:, :, first:], float32 [B, K, ≥ first +
        names]; NaN stays where the context is not known, at empty positions, and for items without a value.

        The log of (n(item, context) + s · share) / (n(item) + s) / share, where share = (n(context) + 1) /
        (n + size), s = `SMOOTHING`: 0 where nothing is known of the item. context: codes by column, int32
        [B]. values: item columns, int32 [n_items] or [n_items, width].
        """
        if not self._columns:
            return
        codes = np.zeros((len(self._columns), len(items)), dtype=np.int32)
        for number, name in enumerate(self._columns):
            if name in context:
                codes[number] = context[name]
        columns = tuple([frozen(wide(values[name]), np.int32) for name in self._groups]) or (_NO_VALUES,)
        _fill(
            frozen(items, np.int32), codes, self._items, self._item_at, columns, self._lifts, self._value_at,
            self._of_column, self._starts, out, first,
        )  # fmt: skip


@compiled(inner=True)
def _lift(both: float, own: float, share: float) -> float:
    return np.log((both + SMOOTHING * share) / ((own + SMOOTHING) * share))


@compiled(inner=True)
def _of_item(offsets: Any, of: Any, counts: Any, item: int, code: int, share: float) -> float:
    own, both = 0.0, 0.0
    if item < len(offsets) - 1:
        start, stop = offsets[item], offsets[item + 1]
        for at in range(start, stop):  # an item has few contexts; a table of sums would be each process's own
            own += counts[at]
        at = bisect(of, start, stop, code)
        if at < stop and of[at] == code:
            both = np.float64(counts[at])
    return _lift(both, own, share)


@compiled
def _fill(
    items: Any, codes: Any, rates: Any, item_at: Any, columns: Any, lifts: Any, value_at: Any,
    of_column: Any, starts: Any, out: Any, first: int,
) -> None:  # fmt: skip
    n = len(item_at)
    shares, sums = np.zeros(n), np.zeros(len(value_at))
    for row in range(items.shape[0]):
        for c in range(n):
            totals = rates[c][3]
            if codes[c, row] > 0:
                shares[c] = (totals[codes[c, row]] + 1.0) / (totals.sum() + len(totals))
        for position in range(items.shape[1]):
            item = items[row, position]
            if item < 0:
                continue
            for c in range(n):
                code = codes[c, row]
                if code > 0:
                    offsets, of, counts, _ = rates[c]
                    rate = _of_item(offsets, of, counts, item, code, shares[c])
                    out[row, position, first + item_at[c]] = rate
            for g in range(len(starts) - 1):
                known = 0
                for p in range(starts[g], starts[g + 1]):
                    sums[p] = 0.0
                for value in columns[g][item]:
                    if value > 0:
                        known += 1
                        for p in range(starts[g], starts[g + 1]):
                            sums[p] += lifts[p][value, codes[of_column[p], row]]
                for p in range(starts[g], starts[g + 1]):
                    if known and codes[of_column[p], row] > 0:
                        out[row, position, first + value_at[p]] = sums[p] / known
