"""What users did as it was last read, for as long as the log cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from funnel.serving.state.log import Event

#: Users that are remembered, those who were asked about last, and events of each, the newest.
USERS, EVENTS = 5_000, 50


class LastKnown:
    """Recent events of some users. It takes no lock: what two threads do at once may be forgotten early."""

    def __init__(self) -> None:
        self._events: dict[str, Sequence[Event]] = {}

    def __len__(self) -> int:
        return len(self._events)

    def keep(self, user: str, events: Sequence[Event]) -> None:
        """What a user did was just read."""
        self._events.pop(user, None)
        if events:
            self._events[user] = events if len(events) <= EVENTS else events[-EVENTS:]
            with suppress(RuntimeError, StopIteration):  # another thread did it at the same time
                while len(self._events) > USERS:
                    self._events.pop(next(iter(self._events)), None)

    def of(self, user: str) -> Sequence[Event]:
        """What was read last, oldest first."""
        return self._events.get(user, ())

    def drop(self, user: str) -> None:
        """Somebody is to be forgotten."""
        self._events.pop(user, None)
