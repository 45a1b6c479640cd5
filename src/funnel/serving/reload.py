"""Taking up what is newly published, without a request that waits or an answer that mixes two bundles."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from funnel.artifacts.store import Store
from funnel.errors import BundleError, FunnelError
from funnel.processes import PerProcess
from funnel.serving.background import give_back
from funnel.serving.loaded import Loaded, Refused
from funnel.serving.state.follower import Follower
from funnel.serving.state.retention import retain

log = logging.getLogger(__name__)


class Reload:
    """Loads the published version when it is another one.

    refused: what could not be used, and why. at: when the version in use was taken up, seconds since 1970.
    reloads, refusals: how often another version was taken up, and could not be.
    """

    def __init__(self, store: Store, follower: Follower) -> None:
        self._store, self._follower = store, follower
        self.refused: Refused | None = None
        self.at = time.time()
        self.reloads = self.refusals = 0
        self._refreshing = PerProcess(threading.Lock)

    def refresh(self) -> bool:
        """See `Live.refresh`."""
        with self._refreshing.get():
            published = "none"
            try:
                published = self._store.current()
                fresh = self._taken_up(published)
            except Exception as error:
                self._refuse(published, error)
                if isinstance(error, FunnelError):
                    raise
                raise BundleError(f"{published} cannot be used: {error!r}") from error
            self.refused = None
        if fresh:
            log.info("now serving %s", published)
            retain(self._store, self._follower.state)
            give_back()
        return fresh

    def _taken_up(self, published: str) -> bool:
        """Everything is made before one reference is swapped; whether it was."""
        served = self._follower.overlay.bundle
        if published == served.version:
            return False
        fresh = Loaded.load(self._store, published, serving=True)
        served.check_successor(fresh)
        self._follower.reload(fresh.following(self._follower.overlay.loaded))
        self.at = time.time()
        self.reloads += 1
        return True

    def _refuse(self, published: str, error: Exception) -> None:
        served = self._follower.overlay.bundle.version
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.refusals += 1
        self.refused = Refused(published, str(error) or repr(error), now)
        log.error("%s goes on being served, %s was refused: %s", served, published, error)
