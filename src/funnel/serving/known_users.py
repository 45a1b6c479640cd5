"""The user's part of a request, and that of users who come again, kept while it stays true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from funnel.bundle.contents import Contents
from funnel.compiling import frozen
from funnel.serving.histories import (
    RecentInteractions,
    UserEvents,
    events_of,
    history,
    one_list,
    refused,
)
from funnel.types import Features, Float32, Int32, Ragged

#: Users that are kept; one more takes the place of who was kept first.
MOST = 5_000


@dataclass(frozen=True, slots=True)
class UserPart:
    """What a request reads of its user; see `Requests`.

    events: all of them. read: those that are in the history. vectors: None, so that the query tower is asked
    each time: whatever changes the history of a request would have to drop them.
    """

    users: Int32
    events: UserEvents
    read: UserEvents
    history: Ragged
    history_times: Ragged
    history_kinds: Ragged | None
    negatives: Ragged | None
    features: Features
    vectors: dict[str, Float32] | None

    @classmethod
    def of(cls, contents: Contents, row: int, events: UserEvents, columns: Mapping[str, Any]) -> UserPart:
        """row: −1 for a user that the bundle does not know. columns: in place of the stored ones."""
        read, no = history(contents, events), refused(contents, events)
        items = one_list(read.items)
        return cls(
            np.array([row], dtype=np.int32),
            events,
            read,
            items,
            Ragged(frozen(read.times), items.offsets),
            None if read.kinds is None else Ragged(frozen(read.kinds), items.offsets),
            None if no is None else one_list(no),
            contents.users.features_of([row], [columns]),
            None,
        )


class _KeptPart(NamedTuple):
    """changes: of the catalogue, when the part was made. recent: what the user did beside the bundle."""

    changes: int
    recent: Sequence[Any]
    part: UserPart


class KnownUsers:
    """The parts of users by row, those who were asked about lately. A part is used while the user did nothing
    more and no item was changed, whose vectors those of the user go by. It takes no lock: what two threads do
    at once is done twice.
    """

    def __init__(self) -> None:
        self._kept: dict[int, _KeptPart] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, contents: Contents, row: int, recent: RecentInteractions) -> UserPart:
        """What a request reads of a user that the bundle knows. recent: what they did beside that."""
        kept, changes = self._kept.get(row), contents.catalogue.changes
        if kept is not None and kept.changes == changes and kept.recent == recent:
            return kept.part
        part = UserPart.of(contents, row, events_of(contents, row, recent), {})
        self._kept[row] = _KeptPart(changes, recent, part)
        with suppress(RuntimeError, StopIteration):  # another thread did it at the same time
            while len(self._kept) > MOST:
                self._kept.pop(next(iter(self._kept)), None)
        return part

    def clear(self) -> None:
        """Somebody is to be forgotten."""
        self._kept = {}
