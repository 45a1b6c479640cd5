"""What users did since the bundle was built: what callers give, checked."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.serving.state.log import Event
from funnel.values.times import seconds

#: Seconds that an event may be ahead of our clock: two machines are never quite of one time.
AHEAD = 600


def written_id(value: Any) -> str | None:
    """An id in writing, the same for 7, 7.0 and "7"; None where it cannot be one."""
    if isinstance(value, bool | np.bool_) or value is None:
        return None
    if isinstance(value, float | np.floating):
        if not np.isfinite(value) or value != int(value):
            return None
        value = int(value)
    if not isinstance(value, int | np.integer | str) or value == "":
        return None
    return None if isinstance(value, str) and not value.isascii() and _torn(value) else str(value)


def _torn(text: str) -> bool:
    """Whether it holds half of a character, which no file can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def checked(events: Iterable[Event | tuple[Any, ...]], end: int | None) -> list[Event]:
    """Events as a log takes them, in the order in which they came.

    end: the first moment that the bundle's data do not reach to; an event with an earlier time comes late,
    and is put there. None where there is no clock: then events have no time.

    Raises: DataError for an event without ids, whose time is no number of seconds, or is ahead of the clock.
    """
    now = max(int(time.time()), end or 0)
    return [_checked(given, number, end, now) for number, given in enumerate(events)]


def _checked(given: Any, number: int, end: int | None, now: int) -> Event:
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise DataError(f"event {number} is {given!r:.80}: (user id, item id, seconds) is expected")
    user, item = written_id(given[0]), written_id(given[1])
    if user is None or item is None:
        raise DataError(f"event {number} is {tuple(given)!r:.80}: a user id and an item id are expected")
    when = given[2] if len(given) == 3 else None
    at = now if when is None else seconds(when, f"event {number}: time")
    if at > now + AHEAD:
        raise DataError(
            f"event {number}: time {at} is {at - now:,} seconds ahead of this machine's clock; give the "
            "seconds since 1970 at which it happened, or none for now"
        )
    return Event(user, item, 0 if end is None else max(at, end))
