"""What a user did, as a request reads it: the history, and what counts as seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.compiling import frozen
from funnel.errors import DataError
from funnel.serving import arguments
from funnel.types import Bool, Int8, Int32, Int64, Ragged
from funnel.values.nearest import hint
from funnel.values.shown import shown


class Interaction(Protocol):
    """An event of a user."""

    @property
    def item_id(self) -> Any: ...

    @property
    def time(self) -> int | None: ...

    @property
    def kind(self) -> str | None: ...


#: What a user did beside what the bundle knows, oldest first.
RecentInteractions: TypeAlias = Sequence[Interaction]


class UserEvents(NamedTuple):
    """Events of one user, oldest first.

    items: int32 [n]. times: int64 [n]. kinds: int8 [n], −1 for an event whose kind nobody said; None where
    the bundle's events are of one kind.
    """

    items: Int32
    times: Int64
    kinds: Int8 | None

    def of(self, picked: Bool) -> UserEvents:
        """Those that a mask over kinds picks: bool [kinds + 1], the last for a kind that is not known."""
        if self.kinds is None:
            return self
        kept = picked[self.kinds]
        return UserEvents(self.items[kept], self.times[kept], self.kinds[kept])


def events_of(contents: Contents, row: int, recent: RecentInteractions) -> UserEvents:
    """All that a user did: what the bundle knows, then what is more recent.

    row: −1 for a user that the bundle does not know.
    """
    users = contents.users
    if row >= 0:  # slices: `Ragged.take` is for many rows
        kinds = None if users.history_kinds is None else users.history_kinds[row]
        events = UserEvents(users.history[row], users.history_times[row], kinds)
    else:
        events = UserEvents(np.empty(0, np.int32), np.empty(0, np.int64), _kinds(contents, 0))
    return _with(contents, events, recent) if recent else events


def given_events(contents: Contents, given: Any, now: int) -> tuple[UserEvents, bool]:
    """Item ids that a caller gives as a history, or pairs of one and a kind, and whether any is unknown.

    Raises: FunnelError for what is no list; DataError for a kind that the bundle does not know.
    """
    ids = arguments.ids(given, "history")
    pairs = [_pair(item) for item in ids]
    rows = np.array([contents.catalogue.ids.row(arguments.known(item)) for item, _ in pairs], dtype=np.int32)
    kept = rows >= 0
    codes = np.array([_code(contents, kind) for _, kind in pairs], dtype=np.int8)
    kinds = None if contents.kinds is None else codes[kept]
    times = np.full(int(kept.sum()), now - 1, dtype=np.int64)
    return UserEvents(rows[kept], times, kinds), not bool(kept.all())


def history(contents: Contents, events: UserEvents) -> UserEvents:
    """Those that are in histories."""
    kinds = contents.kinds
    return events if kinds is None or kinds.in_history.all() else events.of(np.append(kinds.in_history, True))


def seen_items(contents: Contents, events: UserEvents, seen: Any) -> Int32:
    """The items that must not come back. seen: see `Live.recommend`."""
    wanted = arguments.seen(seen, contents.exclude_seen, contents.kinds)
    if isinstance(wanted, bool):
        return history(contents, events).items if wanted else events.items[:0]
    return events.of(wanted).items


def refused(contents: Contents, events: UserEvents) -> Int32 | None:
    """The items that the user said no to; None where no kind of event says so."""
    kinds = contents.kinds
    if kinds is None or not kinds.is_negative.any():
        return None
    return events.of(np.append(kinds.is_negative, False)).items


def one_list(values: NDArray[Any]) -> Ragged:
    """One list of all values, as compiled code takes it."""
    return Ragged(frozen(values), frozen([0, len(values)], np.int64))


def _kinds(contents: Contents, n: int) -> Int8 | None:
    return None if contents.kinds is None else np.full(n, -1, dtype=np.int8)


def _with(contents: Contents, events: UserEvents, recent: RecentInteractions) -> UserEvents:
    """A history and what came since. What the bundle's own data reach to is in it already: that goes by the
    clock, and where there is none by whether the item is there. Kinds that the bundle leaves out have no
    part."""
    statistics = (contents.own or contents).statistics
    rows = contents.catalogue.ids.rows([event.item_id for event in recent])
    at = np.array([event.time or 0 for event in recent], dtype=np.int64)
    new = rows >= 0
    new &= at >= statistics.end if statistics.clock == "time" else ~np.isin(rows, events.items)
    if statistics.clock == "order":
        at = int(events.times.max(initial=-1)) + 1 + np.arange(len(at))
    kinds = None
    if contents.kinds is not None:
        assert events.kinds is not None
        codes = np.array([-1 if e.kind is None else contents.kinds.code(e.kind) for e in recent], np.int8)
        new &= (codes >= 0) | np.array([event.kind is None for event in recent], dtype=np.bool_)
        kinds = np.concatenate([events.kinds, codes[new]])
    return UserEvents(
        np.concatenate([events.items, rows[new]]).astype(np.int32),
        np.concatenate([events.times, at[new]]).astype(np.int64),
        kinds,
    )


def _pair(item: Any) -> tuple[Any, Any]:
    """An entry of a history: an id, or (id, kind)."""
    return (item[0], item[1]) if isinstance(item, tuple | list) and len(item) == 2 else (item, None)


def _code(contents: Contents, kind: Any) -> int:
    if kind is None:
        return -1
    if contents.kinds is None:
        raise DataError(f"history: the kind of event is {shown(kind)}; the bundle's events are of one kind")
    code = contents.kinds.code(kind) if isinstance(kind, str) else -1
    if code < 0:
        raise DataError(f"history: the kind of event is {shown(kind)}; {hint(kind, contents.kinds.names)}")
    return code
