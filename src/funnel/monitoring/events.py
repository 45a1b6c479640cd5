"""Follows the state's log of events: how far it is, and which events name an answer."""

from __future__ import annotations

from collections.abc import Sequence

from funnel.monitoring.counting import Feedback
from funnel.serving.state.log import Counted, StateLog

#: Events that are read together, and of each user, the newest, that may be among them.
_CHUNK, _OF_USER = 5_000, 50


class Events:
    """at: the last event that was read; those up to the first place are not."""

    def __init__(self, state: StateLog, at: int) -> None:
        self._state, self.at = state, at

    def read(self) -> list[Feedback]:
        """Those with an answer that came since the last look. Raises: BundleError where the log cannot be
        read."""
        feedback: list[Feedback] = []
        more = True
        while more:
            events = self._state.events_after(self.at, _CHUNK)
            feedback += self._named(events)
            self.at = events[-1].number if events else self.at
            more = len(events) == _CHUNK
        return feedback

    def _named(self, events: Sequence[Counted]) -> list[Feedback]:
        """Of these events those that name an answer, which the log has by user."""
        new = {(event.user, event.item_id, event.time) for event in events}
        users = list(dict.fromkeys(event.user for event in events))
        feedback: list[Feedback] = []
        for user, some in zip(users, self._state.events_of_each(users, _OF_USER), strict=True):
            for event in some:
                if event.answer is not None and (user, event.item_id, event.time) in new:
                    feedback.append(Feedback(event.answer, event.item_id, float(event.time or 0)))
        return feedback
