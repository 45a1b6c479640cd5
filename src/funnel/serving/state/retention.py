"""What of the state goes by itself."""

from __future__ import annotations

import logging
from typing import NamedTuple

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.errors import BundleError
from funnel.serving.state.log import StateLog

log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """What the state keeps by itself: events of this time and later (None: observed at `changes` or later),
    and changes since this moment. Seconds."""

    events: int | None
    changes: float

    @property
    def since(self) -> float:
        """From when on it has all events."""
        return self.changes if self.events is None else self.events


def kept(store: Store) -> Kept | None:
    """What the data of the published bundle, or of the one before it, do not reach to.

    The one before it counts so that a rollback loses nothing, least of all a deletion. None: everything,
    where it is not known how far the data of one reach. Raises: BundleError where that cannot be read.
    """
    names = [name for name in (store.published(), store.previous()) if name is not None]
    bundles = [Manifest.load(store.path(name)) for name in names]
    if not bundles or any(bundle.data_read <= 0 for bundle in bundles):
        return None
    ends = [bundle.data_end for bundle in bundles]
    return Kept(
        events=min(ends) if all(end is not None for end in ends) else None,  # type: ignore[type-var]
        changes=min(bundle.data_read for bundle in bundles),
    )


def retain(store: Store, state: StateLog) -> None:
    """Remove what the state does not keep: see `kept`. Nothing is removed where the state cannot be written,
    which is no error."""
    try:
        if (bounds := kept(store)) is not None:
            state.retain(events_before=bounds.events, changes_before=bounds.changes)
    except BundleError as error:
        log.warning("the state keeps what nobody needs any more: %s", error)
