"""Global time windows: training ends and a window begins at one moment for all users."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from funnel.data.histories import Cutoffs, Histories, distinct, first_equal
from funnel.errors import DataError
from funnel.types import Bool, Int64, Log, Ragged


def moment(log: Log, cut: float | str) -> int:
    """The second at which a window starts: that of the event at this share of the log, or a date (UTC)."""
    if isinstance(cut, str):
        date = datetime.fromisoformat(cut)
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    return int(log.times[int(cut * len(log))])


def windows(log: Log, ranker: float | str, test: float | str) -> tuple[int, int]:
    """The starts of the ranker's and of the test window. Raises DataError where a part has no events."""
    starts = moment(log, ranker), moment(log, test)
    parts = {
        "training part": log.times < starts[0],
        "ranker window": (log.times >= starts[0]) & (log.times < starts[1]),
        "test window": log.times >= starts[1],
    }
    for name, part in parts.items():
        if not part.any():
            raise DataError(
                f"the {name} has no events: ranker = {ranker} starts at {show(starts[0])}, test = {test} at "
                f"{show(starts[1])}, and the {len(log)} events go from {show(int(log.times[0]))} to "
                f"{show(int(log.times[-1]))}; choose other shares or dates"
            )
    return starts


def window_requests(histories: Histories, start: int, end: int | None, exclude_seen: bool) -> Cutoffs:
    """One request a user with events in the window, at its start; the distinct items are the targets.

    With exclude_seen, items of the history are no targets, and who has none left is a request without
    targets. end: None for a window without one.
    """
    inside = _inside(histories.times, start, end) & histories.targeted()
    n_users = len(histories.offsets) - 1
    before = np.bincount(histories.users[histories.times < start], minlength=n_users)
    active = distinct(histories.users[inside])
    positions = np.flatnonzero(inside)
    number = first_equal(histories.first[positions])  # of events with one item, the earliest inside
    taken = positions[number == np.arange(len(positions))]
    if exclude_seen:
        users = histories.users[taken]
        taken = taken[histories.new(taken, histories.offsets[users] + before[users])]
    counts = np.bincount(histories.users[taken], minlength=n_users)[active]
    targets = Ragged.from_lengths(histories.items[taken], counts)
    rows = np.full(len(active), -1, dtype=np.int64)
    rows[counts > 0] = histories.order[taken[(np.cumsum(counts) - counts)[counts > 0]]]
    return Cutoffs(
        users=active,
        ends=histories.offsets[active] + before[active],
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
    positions = np.flatnonzero(_inside(histories.times, start, end) & histories.targeted())
    positions = positions[np.argsort(histories.order[positions])]
    ends = histories.strictly_before()[positions]
    # An item whose first interaction is before the history's end is in the history.
    every = np.ones(len(positions), dtype=np.bool_)
    has_target = histories.new(positions, ends) if exclude_seen else every
    targets = Ragged.from_lengths(histories.items[positions[has_target]], has_target)
    return Cutoffs(
        users=histories.users[positions],
        ends=ends,
        times=histories.times[positions],
        targets=targets,
        rows=histories.order[positions],
        target_kinds=histories.bits(positions[has_target], targets),
    )


def show(seconds: int) -> str:
    """A time as text, for messages."""
    try:
        return pd.Timestamp(seconds, unit="s").isoformat()
    except (ValueError, OverflowError):
        return str(seconds)


def _inside(times: Int64, start: int, end: int | None) -> Bool:
    inside: Bool = times >= start
    return inside if end is None else inside & (times < end)
