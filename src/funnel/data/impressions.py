"""Logged impressions: rows that are lists, each shown to one user at one moment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.data.order import by_time, without_repeats
from funnel.data.windows import show
from funnel.errors import DataError
from funnel.types import Clock, Int64
from funnel.values.arrow import plain
from funnel.values.missing import quoted
from funnel.values.numbers import numbers
from funnel.values.truths import truths

#: Rows of one list lie within so many seconds; what is further apart is two lists of one name.
LONGEST_LIST = 86_400

_FRONT = ["request_id", "user_id", "item_id", "time", "position", "clicked"]


def clean_impressions(frame: pd.DataFrame, clock: Clock, notes: list[str]) -> pd.DataFrame:
    """By time, then request in order of appearance, then position; the time of a list is its earliest row's.

    A list was requested before its first row was seen. With a later row's time, what the user did in between,
    such as the click that is to be predicted, would be in the history that it is predicted from.
    Raises: DataError for a position or a click that is none, and for a request_id that is more than one list:
    that two users have, or that comes again more than a day later.
    """
    frame = frame.assign(position=_positions(frame["position"]), clicked=_clicks(frame["clicked"]))
    timed = "time" in frame.columns and clock != "none"
    frame = frame if timed else frame.assign(time=0)
    lists, ids = pd.factorize(frame["request_id"])
    _check_users(frame, lists, ids)
    frame = _with_times_of_lists(by_time(frame, "impressions.time", clock, notes), clock)
    frame = without_repeats(frame, "impressions", notes)
    appearance = pd.factorize(frame["request_id"])[0]
    order = np.lexsort((frame["position"].to_numpy(), appearance, frame["time"].to_numpy()))
    return frame.take(order).reset_index(drop=True)[_FRONT + [n for n in frame.columns if n not in _FRONT]]


def _check_users(frame: pd.DataFrame, lists: Int64, ids: pd.Index) -> None:
    """Raises: DataError for a request_id of two users, such as a counter that starts anew for each."""
    users = pd.factorize(frame["user_id"])[0]
    first = np.zeros(len(ids), dtype=np.int64)
    first[lists[::-1]] = np.arange(len(lists))[::-1]
    other = users != users[first[lists]]
    if other.any():
        row = int(other.argmax())
        before = int(first[lists[row]])
        earlier, later = (quoted(frame["user_id"].iloc[at]) for at in (before, row))
        raise DataError(
            f"impressions.request_id {quoted(ids[lists[row]])} is of user {earlier} in row {before} and of "
            f"user {later} in row {row}: a list is shown to one user; make the ids different, such as with "
            "the user's in them"
        )


def _with_times_of_lists(frame: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    times = frame["time"].to_numpy()
    lists, ids = pd.factorize(frame["request_id"])
    earliest = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(earliest, lists, times)
    late = times - earliest[lists] > LONGEST_LIST
    if clock == "time" and late.any():
        row = int(late.argmax())
        name, user = quoted(ids[lists[row]]), quoted(frame["user_id"].iloc[row])
        raise DataError(
            f"impressions.request_id {name} of user {user} has rows at "
            f"{show(int(earliest[lists[row]]))} and at {show(int(times[row]))}: the rows of one list are at "
            "most a day apart; give each list an id of its own"
        )
    return frame.assign(time=earliest[lists])


def _positions(column: pd.Series) -> pd.Series:
    try:
        positions = numbers(plain(column), "impressions.position").to_numpy()
    except DataError as error:
        raise DataError(f"impressions.position is a whole number from 0: {error}") from None
    bad = ~((positions >= 0) & (positions < 2**31) & (positions % 1 == 0))
    if bad.any():
        raise DataError(f"impressions.position is a whole number from 0; row {int(bad.argmax())} has none")
    return pd.Series(positions.astype(np.int32))


def _clicks(column: pd.Series) -> pd.Series:
    clicks = truths(plain(column), "impressions.clicked")
    gaps = clicks.isna().to_numpy()
    if gaps.any():
        raise DataError(
            f"impressions.clicked is missing in row {int(gaps.argmax())}: true or false is expected"
        )
    return clicks.astype("bool")
