"""Whether each item of a batch of lists is in its request's own list of items."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled, plain
from funnel.features.kernels import slot_of, table_bits
from funnel.types import Bool, Int32, Ragged


def contains(lists: Ragged, items: Int32) -> Bool:
    """True where items[b, j] is in lists[b]: bool [B, K]. A negative item is in no list."""
    if len(lists.values) == 0:
        return np.zeros(items.shape, dtype=np.bool_)
    return _contains(*lists.rows, *plain(items))


@compiled
def _contains(values: Any, offsets: Any, items: Any) -> Any:
    """Each list becomes a hash table with open addressing, in which its request's items are looked up."""
    out = np.zeros(items.shape, dtype=np.bool_)
    for row in range(items.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        if start == stop:
            continue
        bits = table_bits(stop - start)
        table = np.full(1 << bits, np.int32(-1))
        for position in range(start, stop):
            if values[position] >= 0:
                table[slot_of(table, bits, values[position])] = values[position]
        for position in range(items.shape[1]):
            item = items[row, position]
            out[row, position] = item >= 0 and table[slot_of(table, bits, item)] == item
    return out
