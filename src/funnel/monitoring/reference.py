"""A second overlay of what is served, made of the bundle's files and the log alone.

It shares the pages of the files with what is served, and none that anybody wrote to: what is wrong in the
memory of one is not in the other. It follows the log only as far as it is told.
"""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.serving.loaded import Loaded
from funnel.serving.state.log import Changes, StateLog
from funnel.serving.state.overlay import Overlay

#: Events that are read from the log together.
_CHUNK = 20_000


class SecondOverlay:
    """Of one bundle. To be used by one thread. state: the log.

    has_gaps: whether events that it was to follow were not in the log any more, behind the first that is: of
    each user the log keeps the newest.
    """

    def __init__(self, bundle: Loaded, state: StateLog) -> None:
        self._bundle, self._state = bundle, state
        self._overlay = Overlay(bundle)
        self._generation: int | None = None  # of the log; it may be one that cannot be read just now
        self.has_gaps = False

    @property
    def version(self) -> str:
        """Of the bundle."""
        return self._bundle.version

    @property
    def loaded(self) -> Loaded:
        """What answers."""
        return self._overlay.loaded

    @property
    def position(self) -> tuple[int, int]:
        """Changes of items and events that are in it."""
        return self._overlay.items_at, self._overlay.events_at

    def beside(self, served: Overlay) -> Contents | None:
        """With all changes of items that are in what is served, and its index where that was built anew; None
        where the log has others behind them already. Raises: BundleError where the log cannot be read."""
        generation = self._state.position()[0]
        is_another = self._generation not in (None, generation)
        if is_another or served.items_at < self._overlay.items_at:
            self._overlay = Overlay(self._bundle)
        self._generation = generation
        contents = self.follow_items(served.items_at)
        mine, theirs = self._overlay.index, served.index
        if contents is not None and mine.base is not theirs.base:
            every = np.arange(theirs.base.size, dtype=np.int32)
            mine.rebase(theirs.base, theirs.beside, every[~served.catalogue.is_living(every)])
        return contents

    def follow_items(self, number: int) -> Contents | None:
        """With all changes of items up to a place; None where there are others behind it already.

        Raises: BundleError where the log cannot be read.
        """
        if number < self._overlay.items_at:
            return None
        changes = self._state.changes_after(self._overlay.items_at)
        if changes.number == self._overlay.items_at:
            return self._overlay.contents if number == changes.number else None
        since = self._bundle.data_read
        fresh = Changes(
            changes.number,
            [change for change in changes.items if change.time >= since],
            [change for change in changes.patches if change.time >= since],
            [change for change in changes.forgotten if change.time >= since],
        )
        if not self._overlay.has_room(len(fresh.items)):
            self._overlay = Overlay(self._bundle, len(fresh.items))
            return self.follow_items(number)
        self._overlay.apply(fresh)
        return self._overlay.contents if number == changes.number else None

    def follow_events(self, number: int) -> bool:
        """With all events up to a place; False where it has later ones already. Raises: BundleError."""
        while self._overlay.events_at < number:
            events = self._state.events_after(self._overlay.events_at, _CHUNK)
            some = [event for event in events if event.number <= number]
            if some:
                before = self._overlay.events_at or some[0].number - 1
                self.has_gaps |= some[-1].number - before > len(some)
                self._overlay.count(some)
            if len(some) < len(events) or len(events) < _CHUNK:
                break
        self.has_gaps |= 0 < self._overlay.events_at < number
        return self._overlay.events_at <= number

    def counts_as(self, served: Overlay) -> bool:
        """Whether it has counted as many events as what is served, both being as far in the log; True where
        they are not. The log keeps the last events of each user: what it dropped before this read it is
        counted there, and not here. Raises: BundleError where the log cannot be read."""
        at, counted = served.events_at, served.contents.statistics.events.observed.count
        if served.events_at != at or not self.follow_events(at) or self._overlay.events_at != at:
            return True
        return self._overlay.contents.statistics.events.observed.count == counted
