"""Events of users, into the counts of what is served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.serving.loaded import Loaded
from funnel.serving.state.users import Event, UserEvents, checked


def take_in(
    loaded: Loaded, events: UserEvents, *, new: Iterable[Event | tuple[Any, ...]] | None = None
) -> None:
    """Keep new events and count them; without `new`, count all that are kept, on a bundle just loaded.

    Raises: DataError for an event that is none; BundleError when they cannot be kept.
    """
    statistics = (loaded.contents.own or loaded.contents).statistics
    if new is None:
        _count(loaded.contents, list(events))
        return
    taken = checked(new, events, statistics.latest if statistics.clock == "time" else None)
    if taken:
        events.add(taken)
        _count(loaded.contents, taken)


def _count(contents: Contents, events: Sequence[Event]) -> None:
    """Count events that the bundle's own data do not reach to."""
    statistics = contents.statistics
    items = contents.catalogue.ids.rows([event.item_id for event in events])
    users = contents.users.ids.rows([event.user_id for event in events])
    times = np.array([event.time or 0 for event in events], dtype=np.int64)
    if statistics.clock == "time":
        new = times > (contents.own or contents).statistics.latest
    else:
        pairs = zip(users.tolist(), items.tolist(), strict=True)
        history = contents.users.history
        new = np.array([user < 0 or item not in history[user] for user, item in pairs], dtype=np.bool_)
    if new.any():
        statistics.observe(users[new], items[new], times[new])
