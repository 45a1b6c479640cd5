"""Global time windows: training ends and a window begins at one moment for all users."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from funnel.data.histories import Cutoffs, Histories, distinct, first_equal
from funnel.errors import DataError
from funnel.types import Int64, Log, Ragged


def moment(log: Log, cut: float | str) -> int:
    """The second at which a window starts: that of the event at this share of the log, or a date (UTC)."""
    if isinstance(cut, str):
        date = datetime.fromisoformat(cut)
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    return int(log.times[int(cut * len(log))])


def windows(log: Log, ranker: float | str, test: float | str) -> tuple[int, int]:
    """The starts of the ranker's and of the test window. Raises DataError where a part has no events."""
    starts = moment(log, ranker), moment(log, test)
    ranker_from, test_from = (before(log, start) for start in starts)
    sizes = {
        "training part": ranker_from,
        "ranker window": test_from - ranker_from,
        "test window": len(log) - test_from,
    }
    for name, size in sizes.items():
        if size <= 0:
            raise DataError(
                f"the {name} has no events: ranker = {ranker} starts at {show(starts[0])}, test = {test} at "
                f"{show(starts[1])}, and the {len(log)} events go from {show(int(log.times[0]))} to "
                f"{show(int(log.times[-1]))}; choose other shares or dates"
            )
    return starts


def before(log: Log, time: int) -> int:
    """How many events are strictly before a time: the first ones of a log in the order of time."""
    return int(np.searchsorted(log.times, time))


def window_requests(histories: Histories, start: int, end: int | None, exclude_seen: bool) -> Cutoffs:
    """One request a user with events in the window, at its start; the distinct items are the targets.

    With exclude_seen, items of the history are no targets, and who has none left is a request without
    targets. end: None for a window without one.
    """
    n_users = len(histories.offsets) - 1
    began = histories.ends_before(start)
    positions = _inside(histories, began, end)
    active = distinct(histories.users[positions])
    number = first_equal(histories.first[positions])  # of events with one item, the earliest inside
    taken = positions[number == np.arange(len(positions))]
    if exclude_seen:
        users = histories.users[taken]
        taken = taken[histories.new(taken, began[users])]
    counts = np.bincount(histories.users[taken], minlength=n_users)[active]
    targets = Ragged.from_lengths(histories.items[taken], counts)
    rows = np.full(len(active), -1, dtype=np.int64)
    rows[counts > 0] = histories.order[taken[(np.cumsum(counts) - counts)[counts > 0]]]
    return Cutoffs(
        users=active,
        ends=began[active],
        times=np.full(len(active), start, dtype=np.int64),
        targets=targets,
        rows=rows,
        target_kinds=_all_kinds(histories, positions, number, taken, targets),
    )


def _all_kinds(
    histories: Histories, positions: Int64, number: Int64, taken: Int64, targets: Ragged
) -> Ragged | None:
    """The kinds of all events inside with an item, beside the first of each, which is in targets."""
    bits = histories.bits(positions, targets)
    if bits is None:
        return None
    together = np.zeros(len(positions), dtype=np.int32)
    np.bitwise_or.at(together, number, bits.values)
    return Ragged(together[np.searchsorted(positions, taken)], targets.offsets)


def event_requests(histories: Histories, start: int, end: int | None, exclude_seen: bool) -> Cutoffs:
    """One request an event of the window, in the order of time; its item is the target.

    The history is what the user did strictly before. With exclude_seen, an item that is in it makes a
    request without targets.
    """
    positions = _inside(histories, histories.ends_before(start), end)
    positions = positions[np.argsort(histories.order[positions])]
    ends = histories.ends(histories.users[positions], histories.times[positions])
    # An item whose first interaction is before the history's end is in the history.
    every = np.ones(len(positions), dtype=np.bool_)
    has_target = histories.new(positions, ends) if exclude_seen else every
    targets = Ragged.from_lengths(histories.items[positions[has_target]], has_target)
    return Cutoffs(
        users=histories.users[positions],
        ends=ends,
        times=histories.times[positions],
        targets=targets,
        rows=histories.order[positions].astype(np.int64),
        target_kinds=histories.bits(positions[has_target], targets),
    )


def show(seconds: int) -> str:
    """A time as text, for messages."""
    try:
        return pd.Timestamp(seconds, unit="s").isoformat()
    except (ValueError, OverflowError):
        return str(seconds)


def _inside(histories: Histories, began: Int64, end: int | None) -> Int64:
    """The positions of events in a window that are to be found: int64. began: where it begins, by user."""
    ends = histories.offsets[1:] if end is None else histories.ends_before(end)
    lengths = np.maximum(ends - began, 0)
    positions = np.repeat(began - (np.cumsum(lengths) - lengths), lengths)
    positions += np.arange(len(positions))
    return positions if histories.asks is None else positions[histories.asks[positions]]
