"""Which places of a batch hold an item that is in the request's own list."""

from __future__ import annotations

import numpy as np

from funnel.types import Bool, Int32, Ragged


def contains(lists: Ragged, items: Int32) -> Bool:
    """True where items[b, j] is in list b: bool [B, K]. A negative item is in no list.

    One sort and one binary search for the whole batch: (list, item) pairs become int64 keys.
    """
    wanted = (np.arange(len(items), dtype=np.int64)[:, None] << 32) + items
    if len(lists.values) == 0:
        return np.zeros(items.shape, dtype=np.bool_)
    keys = np.sort((lists.list_of << 32) + lists.values)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return (keys[places] == wanted) & (items >= 0)
