"""A write that is done once, however often it is sent: over a network an answer may be lost, and what was
asked done all the same."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from funnel.errors import DataError
from funnel.serving.state.log import Event
from funnel.values.shown import shown

#: Seconds that a write is remembered, which is sent again at once or never, and one that a caller named.
SHORT, LONG = 60, 86_400

#: Characters of a key that a caller gives.
LONGEST_KEY = 255


@dataclass(frozen=True)
class Write:
    """What a server remembers of a write. name: its own. sum: of what is written, so that the same name for
    something else is found. seconds: that it is remembered."""

    name: str
    sum: str = ""
    seconds: int = SHORT

    @classmethod
    def new(cls) -> Write:
        """One that nobody named."""
        return cls(uuid.uuid4().hex)

    @classmethod
    def of(cls, events: Sequence[Event], key: str | None) -> Write:
        """Of events under a caller's key. Their times are no part of the sum: where none is given, it is that
        of the call. Raises: DataError for what is no key."""
        if key is None:
            return cls.new()
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
            raise DataError(f"key is {shown(key)}; a text of 1 to {LONGEST_KEY} characters is expected")
        return cls(f"key {_digest(key)}", _digest([event[:2] + event[3:] for event in events]), LONG)

    def refused(self) -> DataError:
        """What to raise where the same key came with something else."""
        return DataError(
            "key was given before with other events; none of these was taken: give each call a key of its own"
        )


def _digest(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
