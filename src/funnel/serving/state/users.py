"""What is known of people, and how it is forgotten: `live.users`."""

from __future__ import annotations

import time
from typing import Any

from funnel.errors import DataError
from funnel.serving.erased import Erased
from funnel.serving.state.follower import Follower
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.log import Event
from funnel.values.ids import written
from funnel.values.shown import shown

#: Events of a user that an answer may read.
MOST = 200


class LiveUsers:
    """What people did since the bundle was built, for every process on the store."""

    def __init__(self, follower: Follower, impressions: ImpressionLog) -> None:
        self._follower, self._impressions = follower, impressions

    def events(self, user_id: Any) -> list[Event]:
        """The newest events of a user that were observed and are kept, oldest first; at most 200.

        Raises: BundleError when the log cannot be read.
        """
        user = written(user_id)
        return [] if user is None else self._follower.state.events_of(user, MOST)

    def forget(self, user_id: Any) -> Erased:
        """Forget a person: their events go from every table that serves, and no answer of any process reads
        what the bundle in use, or one before it, holds of them. Counts of items keep their number, without
        whose they were. Somebody who comes again under the same id begins as a stranger.

        A bundle that is built from then on knows whom its data hold. Copies that were made of the store, and
        logs of your own, are yours to clean.

        Raises: DataError when it is no id; BundleError when the log cannot be written.
        """
        user = written(user_id)
        if user is None:
            raise DataError(f"user id {shown(user_id)} is none")
        overlay = self._follower.follow()
        known = overlay.own.users.ids.row(user_id) >= 0
        impressions = self._impressions.forget(user)
        events = self._follower.state.forget_user(user, max(time.time(), overlay.bundle.data_read))
        self._follower.follow()
        return Erased(events, overlay.bundle.version if known else None, impressions)
