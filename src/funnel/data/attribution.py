"""Attribution: which clicks and later events came of which list that was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from funnel.data.histories import Histories, pair_keys
from funnel.types import Bool, Float32, Int32, Int64

#: A click that was logged so many seconds before its list, at most, is still this list's.
EARLY = 300

#: And what happened so many seconds after it, at most, comes of it.
LATE = 86_400

#: What a click is called where events have kinds.
CLICK = "click"

#: What stands before the name of an outcome among the columns of shown items.
OUTCOME = "outcome."

#: Seconds: no two moments are so far apart.
FAR = np.int64(1) << 61


@dataclass(frozen=True, slots=True)
class ImpressionRows:
    """Rows of impressions, by row numbers. rows: int64 [N], where they are in the table. number: int64 [N],
    the list of each, of n_lists. users, items: int32 [N], −1 for none that is known. times: int64 [N].
    positions: int32 [N]. clicked: bool [N].
    """

    rows: Int64
    number: Int64
    n_lists: int
    users: Int32
    items: Int32
    times: Int64
    positions: Int32
    clicked: Bool

    def take(self, kept: Int64) -> ImpressionRows:
        """Some of them."""
        names = ("rows", "number", "users", "items", "times", "positions", "clicked")
        return replace(self, **{name: getattr(self, name)[kept] for name in names})


def list_times(histories: Histories, known: Bool, shown: ImpressionRows, n_items: int) -> Int64:
    """The moment of each list: that of its rows, or of a click of its that was logged before it.

    With the rows' own time such a click would be in the history that it is predicted from. A click is a later
    list's business where the same user has another event with the item within LATE seconds after it.
    """
    times = np.zeros(shown.n_lists, dtype=np.int64)
    times[shown.number] = shown.times
    hits = np.flatnonzero(shown.clicked & (shown.users >= 0) & (shown.items >= 0))
    at = times[shown.number[hits]]
    before, after = _nearest(histories, known, shown.users[hits], shown.items[hits], at, n_items)
    early = (at - before <= EARLY) & (after - at > LATE)
    np.minimum.at(times, shown.number[hits[early]], before[early])
    return times


def outcome_columns(
    histories: Histories,
    known: Bool,
    shown: ImpressionRows,
    times: Int64,
    n_items: int,
    codes: Mapping[str, int],
) -> dict[str, Float32]:
    """What came of each row of the impressions, 1 or 0, as columns. known: bool [N], the events that count.
    times: int64 [lists]."""
    columns = {OUTCOME + CLICK: shown.clicked.astype(np.float32)}
    if not codes:
        return columns
    pairs = pair_keys(shown.users, shown.items, n_items)
    pairs[(shown.users < 0) | (shown.items < 0)] = -1
    assert histories.kinds is not None
    at = times[shown.number]
    for name, code in codes.items():
        of = known & (histories.kinds == code)
        taken = pair_keys(histories.users[of], histories.items[of], n_items)
        columns[OUTCOME + name] = _attributed(pairs, at, taken, histories.times[of]).astype(np.float32)
    return columns


def _attributed(pairs: Int64, times: Int64, taken: Int64, at: Int64) -> Bool:
    """Which rows an event comes of: the last of its pair at or before it, by LATE seconds at most.

    pairs, times: of the rows, [N]. taken, at: of the events. Returns bool [N].
    """
    known, of = np.unique(pairs, return_inverse=True)
    pair = np.minimum(np.searchsorted(known, taken), len(known) - 1)
    same = known[pair] == taken
    pair, at = pair[same], at[same]
    moments, number = np.unique(np.concatenate([times, at]), return_inverse=True)
    keys = np.concatenate([of, pair]) * len(moments) + number
    order = np.argsort(keys[: len(pairs)], kind="stable")
    last = np.searchsorted(keys[order], keys[len(pairs) :], side="right") - 1
    row = order[np.maximum(last, 0)]
    comes = (last >= 0) & (of[row] == pair) & (at - times[row] <= LATE)
    result = np.zeros(len(pairs), dtype=np.bool_)
    result[row[comes]] = True
    return result


def _nearest(
    histories: Histories, known: Bool, users: Int32, items: Int32, times: Int64, n_items: int
) -> tuple[Int64, Int64]:
    """The moments of the same user's last known event with the same item before each time, and of the first
    at it or later; far away where there is none."""
    wanted, of = np.unique(pair_keys(users, items, n_items), return_inverse=True)
    pairs = pair_keys(histories.users, histories.items, n_items)
    pair = np.minimum(np.searchsorted(wanted, pairs), max(0, len(wanted) - 1))
    same = known & (wanted[pair] == pairs) if len(wanted) else np.zeros(len(pairs), dtype=np.bool_)
    moments, number = np.unique(np.concatenate([histories.times[same], times]), return_inverse=True)
    keys = np.concatenate([pair[same], of]) * len(moments) + number  # by pair, then by time
    logged = np.append(np.sort(keys[: int(same.sum())]), -1)  # the last stands for none, on either side
    at = np.searchsorted(logged[:-1], keys[int(same.sum()) :])
    before, after = logged[at - 1], logged[at]
    return (
        np.where(before // len(moments) == of, moments[before % len(moments)], -FAR),
        np.where(after // len(moments) == of, moments[after % len(moments)], FAR),
    )
