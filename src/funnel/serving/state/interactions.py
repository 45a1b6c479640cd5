"""What users did since the bundle was built: what callers give, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from funnel.errors import DataError
from funnel.serving.state.log import Event
from funnel.types import EventKinds
from funnel.values.events import answer_id, parts, worth
from funnel.values.nearest import hint
from funnel.values.shown import shown
from funnel.values.times import AHEAD, seconds

#: The kind of events of which nobody says more.
INTERACTION = "interaction"


class KindsTaken(NamedTuple):
    """What kinds of events are taken in, and the kind and value of those that say none.

    kinds: of the bundle; None where its events are of one kind.
    """

    kinds: EventKinds | None
    kind: Any = INTERACTION
    value: Any = None

    def of(self, kind: Any, where: str) -> str | None:
        """A kind as the log keeps it. Raises: DataError for another, with the nearest."""
        kind = self.kind if kind is None else kind
        known = () if self.kinds is None else (*self.kinds.names, *self.kinds.ignored)
        if isinstance(kind, str) and kind in known:
            return kind
        if kind == INTERACTION:
            return None
        others = (INTERACTION,) if where else (INTERACTION, "impression")
        why = "" if known else " (the bundle's events are of one kind: nothing in its data is called kind)"
        raise DataError(f"{where}kind is {shown(kind)}; {hint(kind, (*known, *others))}{why}")

    def worth(self, value: Any, where: str) -> float | None:
        """A value as the log keeps it. Raises: DataError for what is no number of at least 0."""
        return worth(self.value if value is None else value, where)


def is_shown(event: Any, kind: Any) -> bool:
    """Whether an event is an impression. kind: of the events that do not say one."""
    own = event[3] if isinstance(event, tuple) and len(event) > 3 else None
    return isinstance(own or kind, str) and (own or kind) == "impression"


def checked(
    events: Iterable[tuple[int, Event | tuple[Any, ...]]],
    now: float,
    end: int | None,
    kinds: KindsTaken | None = None,
) -> list[Event]:
    """Events as a log takes them, in the order in which they came, each with its number for messages.

    now: by the log, the time of those that have none. end: the first moment that the bundle's data do not
    reach to; an event with an earlier time comes late, and is put there. None where there is no clock: then
    events have no time. kinds: None for impressions, which are of one.

    Raises: DataError for an event without ids, whose time is no number of seconds, or is ahead of the clock,
    or whose kind or value cannot be meant.
    """
    if kinds is not None:  # also where there is no event
        kinds.of(None, "")
        kinds.worth(None, "")
    return [_checked(given, number, end, max(int(now), end or 0), kinds) for number, given in events]


def _checked(given: Any, number: int, end: int | None, now: int, kinds: KindsTaken | None) -> Event:
    user, item, when, kind, value, answer = parts(given, number)
    at = now if when is None else seconds(when, f"event {number}: time")
    if at > now + AHEAD:
        raise DataError(
            f"event {number}: time {at} is {at - now:,} seconds ahead of the clock; give the "
            "seconds since 1970 at which it happened, or none for now"
        )
    at = 0 if end is None else max(at, end)
    if kinds is None:
        return Event(user, item, at)
    where = f"event {number}: "
    return Event(user, item, at, kinds.of(kind, where), kinds.worth(value, where), answer_id(answer, where))
