"""A write that is done once, however often it is sent: over a network an answer may be lost, and what was
asked done all the same."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from funnel.errors import DataError
from funnel.serving.state.log import Event
from funnel.values.shown import shown

#: Seconds that a write is remembered, which is sent again at once or never, and one that a caller named.
SHORT, LONG = 60, 86_400

#: Characters of a key that a caller gives.
LONGEST_KEY = 255


class CallKey(NamedTuple):
    """A caller's name for a call, and for all that was said in it; digests, which nobody is known by."""

    name: str
    sum: str

    @classmethod
    def of(cls, key: str, events: Sequence[Event]) -> CallKey:
        """Times are no part of the sum: where none is given, it is that of the call.

        Raises: DataError for what is no key.
        """
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
            raise DataError(f"key is {shown(key)}; a text of 1 to {LONGEST_KEY} characters is expected")
        return cls(_digest(key), _digest([event[:2] + event[3:] for event in events]))


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
    def of(cls, key: CallKey | None, what: str = "events", part: int = 0) -> Write:
        """Of what was said under a key; `what` and its number name the part of it that is written."""
        name = "" if key is None else f"{what} {key.name}{f' {part}' if part else ''}"
        return cls.new() if key is None else cls(name, key.sum, LONG)

    def refused(self) -> DataError:
        """What to raise where the same key came with something else."""
        return DataError(
            "key was given before with other events; none of these was taken: give each call a key of its own"
        )


def _digest(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
