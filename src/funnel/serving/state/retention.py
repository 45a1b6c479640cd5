"""What of the state goes by itself."""

from __future__ import annotations

import logging
from typing import NamedTuple

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.errors import BundleError
from funnel.serving.state.log import StateLog

log = logging.getLogger(__name__)

#: Seconds that a forgotten person's digest stays at least, so that `ingest` meets it and removes what was
#: copied of them, whatever bundles come in between.
FORGOTTEN_FOR = 90 * 86_400


class Retained(NamedTuple):
    """What the state keeps by itself: events of this time and later (None: observed at `changes` or later),
    and changes since this moment. Seconds."""

    events: int | None
    changes: float

    @property
    def since(self) -> float:
        """From when on it has all events."""
        return self.changes if self.events is None else self.events


def kept(store: Store) -> Retained | None:
    """What somebody may still need.

    A change, while the store has a version whose data do not reach to it: whichever is served, after a
    rollback to its name, in an arm of an experiment or by a process of its own, no deleted item comes back in
    it, and nobody who was forgotten; whose digest stays 90 days besides. Events go by the data of the
    published version and of the one before it.
    Where it is not known how far the data of a version reach, every change stays; where it is one of these
    two, so does everything: None. Raises: BundleError where one cannot be read.
    """
    there = {folder.name: Manifest.load(folder) for folder in store.folders()}
    served = [name for name in (store.published(), store.previous()) if name is not None]
    if not served or any(name not in there or there[name].data_read <= 0 for name in served):
        return None
    ends = [there[name].data_end for name in served]
    return Retained(
        events=min(ends) if all(end is not None for end in ends) else None,  # type: ignore[type-var]
        changes=max(0.0, min(bundle.data_read for bundle in there.values())),
    )


def retain(store: Store, state: StateLog) -> None:
    """Remove what nobody needs any more: see `kept`. Nothing is removed where a version cannot be read, nor
    where the state cannot be written, which is no error."""
    try:
        if (bounds := kept(store)) is not None:
            state.retain(
                events_before=bounds.events,
                changes_before=bounds.changes,
                forgotten_before=min(bounds.changes, state.now() - FORGOTTEN_FOR),
            )
    except BundleError as error:
        log.warning("the state keeps what nobody needs any more: %s", error)
