"""What users did since the bundle was built: what callers give, checked."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from funnel.errors import DataError
from funnel.serving.state.log import Event
from funnel.values.ids import written
from funnel.values.shown import shown
from funnel.values.times import seconds

#: Seconds that an event may be ahead of our clock: two machines are never quite of one time.
AHEAD = 600

#: Characters of an id: what is longer is none, and would fill a log.
LONGEST = 4096


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
        raise DataError(f"event {number} is {shown(given)}: (user id, item id, seconds) is expected")
    user, item = written(given[0]), written(given[1])
    if user is None or item is None or max(len(user), len(item)) > LONGEST:
        raise DataError(f"event {number} is {shown(tuple(given))}: a user id and an item id are expected")
    when = given[2] if len(given) == 3 else None
    at = now if when is None else seconds(when, f"event {number}: time")
    if at > now + AHEAD:
        raise DataError(
            f"event {number}: time {at} is {at - now:,} seconds ahead of this machine's clock; give the "
            "seconds since 1970 at which it happened, or none for now"
        )
    return Event(user, item, 0 if end is None else max(at, end))
