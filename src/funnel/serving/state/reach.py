"""Whether a server is asked at all: one that cannot be reached must not hold up request after request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from funnel.errors import BundleError

#: Seconds that nobody asks a server after it could not be reached.
PAUSE = 1.0

#: Seconds that a request waits for a server: to connect, and for each answer. Seconds that a write waits, or
#: the reading of much; it is tried twice.
QUICK, PATIENT = 0.25, 2.0


class Reach:
    """What one process knows of a server: reached, or lost, and why.

    While it is lost everybody is told so at once. After each pause one caller tries again, and the others go
    on being told; so a request in a second waits, at most `QUICK`.
    """

    def __init__(self) -> None:
        self._why: str | None = None
        self._again = 0.0

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Around each try. Raises: BundleError while the server is lost, without having tried."""
        if self._why is not None:
            now = time.monotonic()
            if now < self._again:
                raise BundleError(self._why)
            self._again = now + PAUSE
        yield
        self._why = None

    def lost(self, why: str) -> BundleError:
        """It could not be reached; the error to raise."""
        self._why, self._again = why, time.monotonic() + PAUSE
        return BundleError(why)
