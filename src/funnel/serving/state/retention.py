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
        names = [one for one in (store.published(), store.previous()) if one is not None]
        kept = [Manifest.load(store.path(one)) for one in names]
        if kept and all(one.data_read > 0 for one in kept):
            ends = [one.data_end for one in kept]
            state.retain(
                events_before=min(ends) if all(end is not None for end in ends) else None,  # type: ignore[type-var]
                changes_before=min(one.data_read for one in kept),
            )
    except BundleError as error:
        log.warning("the state keeps what nobody needs any more: %s", error)
