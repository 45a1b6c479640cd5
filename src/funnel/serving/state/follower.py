"""What one process knows of a store's log: it is followed, and written into what is served."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from funnel.errors import BundleError
from funnel.processes import PerProcess
from funnel.serving.background import in_background
from funnel.serving.loaded import Loaded
from funnel.serving.state.log import Changes, Forgotten, ItemChange, Patch, StateLog
from funnel.serving.state.overlay import Overlay

log = logging.getLogger(__name__)

T = TypeVar("T", ItemChange, Patch, Forgotten)

#: Changed items beyond which a new index is built in the background, and beyond which a change waits for it.
COMPACT_AT, MOST = 2_000, 20_000

#: Events that are read from the log together.
_CHUNK = 20_000


@dataclass(frozen=True)
class _Locks:
    writing: threading.Lock = field(default_factory=threading.Lock)
    compacting: threading.Lock = field(default_factory=threading.Lock)


class _Served(NamedTuple):
    """What is served, and the position in the log that is known to be in it: one value, so that nobody meets
    the one of before beside the other of now."""

    overlay: Overlay
    position: tuple[int, Hashable]


class Follower:
    """Keeps an overlay as the log says. `follow` before a request makes it know all that was acknowledged.

    That costs a look at the log where nothing is new. Where something is, it is written in by whoever looks
    first, and who looks meanwhile waits for that: a millisecond or so for an item, microseconds for a click.
    A log that cannot be read stops nobody: `error` says why, and what is served is what was known.

    forget: told of people who were forgotten, by whichever process, and maybe again.

    Raises: BundleError when the log is damaged or cannot be read at the start.
    """

    def __init__(
        self,
        state: StateLog,
        loaded: Loaded,
        forget: Callable[[Sequence[Forgotten]], None] = lambda people: None,
    ) -> None:
        self.state, self._forget = state, forget
        self.error: str | None = None
        self._locks = PerProcess(_Locks)
        self._served = self._overlay_of(loaded)
        self._compact_if_due()

    @property
    def overlay(self) -> Overlay:
        """What is served now."""
        return self._served.overlay

    @property
    def position(self) -> str:
        """How far the log is in what is served: the last change and the last event, as "12.345"."""
        overlay = self.overlay
        return f"{overlay.items_at}.{overlay.events_at}"

    def follow(self) -> Overlay:
        """What is served, with all that anybody said until now."""
        overlay, known = self._served
        try:
            if self.state.position() != known:
                with self._locks.get().writing:
                    self._served = self._caught_up(self._served)
                    overlay = self._served.overlay
                self._compact_if_due()
            self.error = None
        except BundleError as error:
            if self.error is None:
                log.error("%s; what is served is what was known before", error)
            self.error = str(error)
        return overlay

    def follow_as(self, other: Follower) -> Overlay:
        """The same where another has looked at the log just now: what it knows is not looked for again."""
        overlay, known = self._served
        return overlay if other._served.position == known else self.follow()

    def _caught_up(self, served: _Served) -> _Served:
        """The same with what is new written in; the lock is held."""
        (overlay, known), position = served, self.state.position()
        if position == known:
            return served
        changes = self.state.changes_after(overlay.items_at)
        changes = changes._replace(patches=_fresh(changes.patches, overlay.bundle.data_read))
        if position[0] != known[0] or not overlay.has_room(len(changes.items)):
            return self._overlay_of(overlay.bundle)
        self._write(overlay, changes)
        self._forget(changes.forgotten)
        return _Served(overlay, position)

    def reload(self, loaded: Loaded) -> None:
        """Serve another bundle, with all that is known: also what was acknowledged while that was written in,
        which requests have met in the one before. Whatever is raised, what is served stays as it was.
        """
        served = self._overlay_of(loaded)
        with self._locks.get().writing:
            self._served = self._caught_up(served)
        self.follow()

    def _overlay_of(self, bundle: Loaded) -> _Served:
        """A bundle with what is known and is fresher than its data, and the position that this is of."""
        position, changes = self.state.position(), self.state.changes_after(0)
        since = bundle.data_read
        fresh = Changes(
            changes.number,
            _fresh(changes.items, since),
            _fresh(changes.patches, since),
            _fresh(changes.forgotten, since),
        )
        overlay = Overlay(bundle, len(fresh.items))
        self._write(overlay, fresh)
        self._forget(changes.forgotten)
        return _Served(overlay, position)

    def _write(self, overlay: Overlay, changes: Changes) -> None:
        overlay.apply(changes)
        more = True
        while more:
            if events := self.state.events_after(overlay.events_at, _CHUNK):
                overlay.count(events)
            more = len(events) == _CHUNK

    def compact(self) -> None:
        """Build a new index over the items as they are now; requests go on meanwhile, and so do changes."""
        with self._locks.get().compacting:
            with self._locks.get().writing:
                overlay = self.overlay
                n = overlay.begin_index()
            index = in_background(lambda: overlay.built_index(n))
            with self._locks.get().writing:
                overlay.use_index(index)

    def wait_if_crowded(self) -> None:
        """Build a new index first where too many items are searched beside the one in use."""
        if len(self.overlay.index.beside) > MOST:
            self.compact()

    def _compact_if_due(self) -> None:
        if len(self.overlay.index.beside) > COMPACT_AT and not self._locks.get().compacting.locked():
            threading.Thread(target=self._compact_in_background, name="funnel-compact", daemon=True).start()

    def _compact_in_background(self) -> None:
        try:
            self.compact()
        except Exception:
            log.exception("compaction failed; changed items go on being searched beside the index")


def _fresh(changes: Sequence[T], since: float) -> list[T]:
    """Those that the bundle's data, which were read from then on, do not know better. A log tells an item's
    patches again with its deletion, however old they are."""
    return [change for change in changes if change.time >= since]
