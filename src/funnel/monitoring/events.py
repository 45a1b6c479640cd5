"""Follows the state's log of events: how far it is, and which events name an answer."""

from __future__ import annotations

from funnel.monitoring.counting import AnswerEvent
from funnel.serving.state.log import StateLog

#: Events that are read together.
_CHUNK = 20_000


class Events:
    """at: the last event that was read; those up to the first place are not. log: which log that is a place
    in, since one may take the other's place; None before the first was read."""

    def __init__(self, state: StateLog, at: int) -> None:
        self._state, self.at = state, at
        self.log: int | None = None

    def read(self) -> list[AnswerEvent]:
        """Those with an answer that came since the last look. Raises: BundleError where the log cannot be
        read."""
        log = self._state.position()[0]
        self.at = self.at if self.log in (None, log) else 0
        self.log = log
        feedback: list[AnswerEvent] = []
        more = True
        while more:
            events = self._state.events_after(self.at, _CHUNK)
            feedback += [
                AnswerEvent(event.answer, event.item_id, float(event.time))
                for event in events
                if event.answer is not None
            ]
            self.at = events[-1].number if events else self.at
            more = len(events) == _CHUNK
        return feedback
