"""What of the state goes by itself."""

from __future__ import annotations

import logging

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.errors import BundleError
from funnel.serving.state.log import StateLog

log = logging.getLogger(__name__)


def retain(store: Store, state: StateLog) -> None:
    """Remove events and changes that the data of the published bundle, and of the one before it, reach to.

    The one before it counts so that a rollback loses nothing, least of all a deletion. Where it is not known
    how far the data of one reach, nothing is removed; nor where the state cannot be written, which is no
    error.
    """
    try:
        names = [name for name in (store.published(), store.previous()) if name is not None]
        kept = [Manifest.load(store.path(name)) for name in names]
        if kept and all(bundle.data_read > 0 for bundle in kept):
            ends = [bundle.data_end for bundle in kept]
            state.retain(
                events_before=min(ends) if all(end is not None for end in ends) else None,  # type: ignore[type-var]
                changes_before=min(bundle.data_read for bundle in kept),
            )
    except BundleError as error:
        log.warning("the state keeps what nobody needs any more: %s", error)
