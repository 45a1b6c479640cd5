"""What users did, written down so that the next answers go by it."""

from __future__ import annotations

from typing import Any

from funnel.serving.parts import ServingParts
from funnel.serving.state import Event
from funnel.serving.state.interactions import KindsTaken, checked, is_shown
from funnel.serving.state.once import CallKey


def observe(
    parts: ServingParts,
    events: tuple[Event | tuple[Any, ...], ...],
    kind: str,
    value: float | None,
    key: str | None,
) -> int:
    """See `Live.observe`. Returns how many events were taken in: none of those that a known key came with."""
    own, numbered, now = parts.follower.overlay.own, list(enumerate(events)), parts.state.now()
    views = checked([event for event in numbered if is_shown(event[1], kind)], now, 0)
    others = [event for event in numbered if not is_shown(event[1], kind)]
    kinds = KindsTaken(own.kinds, "interaction" if kind == "impression" else kind, value)
    taken = checked(others, now, own.statistics.end if own.statistics.clock == "time" else None, kinds)
    once = None if key is None else CallKey.of(key, [*taken, *views])
    added = 0
    if views and taken:  # two files, and no click is kept of a call that is refused
        added += parts.impressions.observe(views, once)
    if taken or once is not None:  # the log of events knows every key
        new = parts.state.observe(taken, once)
        parts.recording.feedback += sum(event.answer is not None for event in taken[:new])
        added += new
    if views and not taken:
        added += parts.impressions.observe(views, once)
    return added
