"""What users did since the bundle was built."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from funnel.errors import DataError
from funnel.serving.state.journal import Journal


class Event(NamedTuple):
    """A user met an item. time: seconds; None is now."""

    user_id: Any
    item_id: Any
    time: int | None = None


class UserEvents(Protocol):
    """Where events are kept by user; users are in writing, as `written_id` gives them."""

    def add(self, events: Sequence[Event]) -> None:
        """Take events in, in the order in which they happened; on return they are kept."""

    def of(self, user: str) -> Sequence[Event]:
        """A user's events, oldest first."""

    def __iter__(self) -> Iterator[Event]:
        """All events that are kept, in the order in which they were taken in."""

    def close(self) -> None:
        """Nothing more will be added."""


class RecentUsers:
    """Events in memory and in a file, of the users who were seen last; each has as many as a query may read.

    users, events: at most so many users, and events of each. Beyond that the user who has not been seen for
    longest is dropped, and a user's oldest event. Seen is who did something or was asked about.
    The file survives the end of the process, not a power cut. It is written again without what was dropped
    when it holds twice as much as is kept.
    """

    def __init__(self, path: Path, *, users: int = 100_000, events: int = 200) -> None:
        self._most_users, self._most_events = users, events
        self._users: OrderedDict[str, deque[tuple[int, Event]]] = OrderedDict()
        self._lock, self._numbers = threading.Lock(), count()
        self._journal = Journal(path, "events", synced=False)
        self._kept = self._written = 0
        self._fill(self._journal.read())

    def add(self, events: Sequence[Event]) -> None:
        """See `UserEvents`. Raises: BundleError when they cannot be written; then none is taken in."""
        with self._lock:
            if not self._journal.writing:
                self._open()
            self._journal.append(*(list(event) for event in events))
            self._written += len(events)
            for event in events:
                self._take(event)
            if self._written > 2 * self._kept + 10_000:
                self._journal.rewrite([list(event) for event in self])
                self._written = self._kept

    def of(self, user: str) -> Sequence[Event]:
        """See `UserEvents`."""
        with self._lock:
            if user not in self._users:
                return ()
            self._users.move_to_end(user)
            return [event for _, event in self._users[user]]

    def __iter__(self) -> Iterator[Event]:
        """See `UserEvents`."""
        kept = [entry for events in list(self._users.values()) for entry in list(events)]
        return iter([event for _, event in sorted(kept, key=lambda entry: entry[0])])

    def __len__(self) -> int:
        """Users that are kept."""
        return len(self._users)

    def close(self) -> None:
        """See `UserEvents`."""
        self._journal.close()

    def _open(self) -> None:
        """Become the writer, and take in what another process wrote since we read."""
        records = self._journal.open()
        self._users.clear()
        self._kept = 0
        self._fill(records)

    def _fill(self, records: Iterable[Any]) -> None:
        self._written = 0
        for record in records:
            self._take(Event(*record))
            self._written += 1

    def _take(self, event: Event) -> None:
        events = self._users.setdefault(event.user_id, deque())
        self._users.move_to_end(event.user_id)
        events.append((next(self._numbers), event))
        self._kept += 1
        if len(events) > self._most_events:
            events.popleft()
            self._kept -= 1
        if len(self._users) > self._most_users:
            _, dropped = self._users.popitem(last=False)
            self._kept -= len(dropped)


def written_id(value: Any) -> str | None:
    """An id in writing, the same for 7, 7.0 and "7"; None where it cannot be one."""
    if isinstance(value, bool | np.bool_) or value is None:
        return None
    if isinstance(value, float | np.floating):
        if not np.isfinite(value) or value != int(value):
            return None
        value = int(value)
    return str(value) if isinstance(value, int | np.integer | str) and value != "" else None


def checked(events: Iterable[Event | tuple[Any, ...]], store: UserEvents, after: int | None) -> list[Event]:
    """Events as a store takes them. A time that is not behind `after`, or before the user's last event, is
    put there: a clock may have gone back, the order in which events arrive has not. after: None without one.

    Raises: DataError for an event without ids, or whose time is no whole number of seconds.
    """
    made: list[Event] = []
    last: dict[str, int] = {}
    for number, given in enumerate(events):
        if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
            raise DataError(f"event {number} is {given!r}: (user id, item id, seconds) is expected")
        event = Event(*given)
        user, item = written_id(event.user_id), written_id(event.item_id)
        if user is None or item is None:
            raise DataError(f"event {number} is {tuple(event)!r}: a user id and an item id are expected")
        at = 0 if after is None else max(_seconds(event.time, number), after + 1)
        if user not in last:
            last[user] = max((one.time or 0 for one in store.of(user)), default=at)
        last[user] = max(at, last[user])
        made.append(Event(user, item, last[user]))
    return made


def _seconds(value: Any, number: int) -> int:
    if value is None:
        return int(time.time())
    whole = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not whole or not abs(float(value)) < 2**53:
        raise DataError(f"event {number} has the time {value!r}: seconds since 1970 are expected")
    return int(value)
