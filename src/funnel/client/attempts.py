"""When a request is sent again: only where that does no harm, and never beyond the time of the call.

A connection that could not be made, and 429, say that nothing was done: any request is sent again. Where a
connection broke, nobody knows; only what is repeatable is sent again. 503 is tried again when the service
says when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

from funnel.client.calls import Call

#: Seconds before a connection that failed is tried again; twice as many each time.
_FIRST_PAUSE = 0.05


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Lost:
    """Nothing came back. sent: whether the request may have arrived. late: whether the time is up."""

    message: str
    sent: bool
    error: Exception
    late: bool = False


class Attempts:
    """Of one call. seconds: for all of them together, with the waiting between. again: how many after the
    first."""

    def __init__(self, call: Call[Any], seconds: float, again: int) -> None:
        self._call, self._again = call, again
        self._end = monotonic() + seconds
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Seconds that the call still has, and a little at least."""
        return max(self._end - monotonic(), 0.001)

    def pause(self, outcome: Reply | Lost) -> float | None:
        """Seconds to wait before the next attempt; None where this outcome stands."""
        if self._again == 0:
            return None
        wait = self._after_loss(outcome) if isinstance(outcome, Lost) else self._after(outcome)
        if wait is None or monotonic() + wait >= self._end:
            return None
        self._again -= 1
        return wait

    def _after_loss(self, lost: Lost) -> float | None:
        if lost.late or (lost.sent and not self._call.repeatable):
            return None
        wait, self._pause = self._pause, 2 * self._pause
        return wait

    def _after(self, reply: Reply) -> float | None:
        if reply.status == 429 or (reply.status == 503 and self._call.repeatable):
            return retry_after(reply.headers)
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a header Retry-After, which has a number or a date (RFC 9110); None where it has neither."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)
