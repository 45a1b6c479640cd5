"""What is known of people, and how it is forgotten: `live.users`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from funnel.errors import DataError
from funnel.serving.erased import Erased
from funnel.serving.recording import Recording
from funnel.serving.state.follower import Follower
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.last_known import LastKnown
from funnel.serving.state.log import Event
from funnel.values.ids import digest, written
from funnel.values.shown import shown

#: Events of a user that an answer may read; more than are kept of anybody.
MOST, EVERY = 200, 2**62


class LiveUsers:
    """What people did since the bundle was built, for every process on the store."""

    def __init__(self, follower: Follower, impressions: ImpressionLog, recording: Recording) -> None:
        self._follower, self._impressions, self._recording = follower, impressions, recording
        self.last_known = LastKnown()

    def events(self, user_id: Any) -> list[Event]:
        """The newest events of a user that were observed and are kept, oldest first; at most 200.

        Raises: BundleError when the log cannot be read.
        """
        user = written(user_id)
        if user is None:
            return []
        events = self._follower.state.events_of(user, MOST)
        self.last_known.keep(user, events)
        return events

    def events_last_known(self, user_id: Any) -> Sequence[Event]:
        """What `events` read last, the newest 50, of the 5,000 users who were asked about last; none of who
        is forgotten."""
        user = written(user_id)
        if user is None or digest(user) in self._follower.overlay.forgotten:
            return ()
        return self.last_known.of(user)

    def events_of_each(self, user_ids: Sequence[Any]) -> list[list[Event]]:
        """The same for each of several users. Raises: BundleError when the log cannot be read."""
        users = [written(user_id) for user_id in user_ids]
        known = list(dict.fromkeys(user for user in users if user is not None))
        of_user = (
            dict(zip(known, self._follower.state.events_of_each(known, MOST), strict=True)) if known else {}
        )
        for user, recent in of_user.items():
            self.last_known.keep(user, recent)
        return [[] if user is None else of_user[user] for user in users]

    def known(self, user_id: Any) -> dict[str, Any]:
        """All that is known of a person, as plain values: what the bundle in use has, its version and the
        history, oldest first; None where it has nothing or is not to be asked about them any more. All events
        and impressions that are kept, and all answers in the log of answers.

        A bundle's files also hold what it was judged by, which may be of the person, and the user's columns
        as its towers read them.

        Raises: DataError when it is no id; BundleError when the log cannot be read.
        """
        user = written(user_id)
        if user is None:
            raise DataError(f"user id {shown(user_id)} is none")
        events = self._follower.state.events_of(user, EVERY)
        impressions = sorted(self._impressions.of(user, -EVERY), key=itemgetter(1))
        return {
            "user_id": user,
            "bundle": self._of_bundle(user_id),
            "events": [event._asdict() for event in events],
            "impressions": [{"item_id": item, "time": at} for item, at in impressions],
            "answers": self._recording.answers_of(user),
        }

    def _of_bundle(self, user_id: Any) -> dict[str, Any] | None:
        loaded = self._follower.follow().loaded
        contents, row = loaded.contents, loaded.contents.users.ids.row(user_id)
        if row < 0:
            return None
        items = contents.catalogue.ids.take(contents.users.history[row])
        times = contents.users.history_times[row].tolist()
        kinds: list[str | None] = [None] * len(items)
        if contents.users.history_kinds is not None and contents.kinds is not None:
            kinds = [contents.kinds.names[code] for code in contents.users.history_kinds[row].tolist()]
        history = [
            {"item_id": item, "time": at, "kind": kind}
            for item, at, kind in zip(items, times, kinds, strict=True)
        ]
        return {"version": loaded.version, "history": history}

    def forget(self, user_id: Any) -> Erased:
        """Forget a person: their events go from every table that serves, their answers from the log of
        answers (that of another machine on the state with its next request), and no answer of any process
        reads what the bundle in use, or one before it, holds of them. Counts of items keep their number,
        without whose they were. Somebody who comes again under the same id begins as a stranger.

        A bundle that is built from then on knows whom its data hold. Copies that were made of the store, and
        logs of your own, are yours to clean.

        Raises: DataError when it is no id; BundleError when the log cannot be written; then it is to be
        called again.
        """
        user = written(user_id)
        if user is None:
            raise DataError(f"user id {shown(user_id)} is none")
        overlay = self._follower.follow()
        known = overlay.own.users.ids.row(user_id) >= 0
        self.last_known.drop(user)
        answers = self._recording.erase(user)
        impressions = self._impressions.forget(user)
        events = self._follower.state.forget_user(
            user, max(self._follower.state.now(), overlay.bundle.data_read)
        )
        self._follower.follow()
        return Erased(events, overlay.bundle.version if known else None, impressions, answers)
