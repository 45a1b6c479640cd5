"""What became of what was published, in memory that all processes of a service share.

The supervisor writes, workers read: which generation of them serves, and what could not be served and why.
The memory has no name, so that no kill leaves anything behind. What is in it is a text with its checksum:
who reads while it is written reads again.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from funnel.serving.loaded import Refused

#: Bytes of the text; a reason is cut so that it fits.
_ROOM, _REASON = 65_536, 8_000

#: Reads of what is being written, and seconds between them: who writes may be killed in between.
_READS, _AGAIN = 100, 0.001

_HEAD = struct.Struct("<II")


@dataclass(frozen=True)
class ServedOutcome:
    """generation: which workers serve; they are forked anew for each bundle. version: what they serve, since
    `at` (seconds since 1970). tries: how often what was published has been looked into. reloads, refusals:
    how often another version was taken up, and could not be. refused: what is published and cannot be served.
    """

    generation: int = 0
    version: str = ""
    at: float = 0.0
    tries: int = 0
    reloads: int = 0
    refusals: int = 0
    refused: Refused | None = None


class Board:
    """To be made before processes are forked. Only the supervisor writes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + _ROOM)
        self._last = ServedOutcome()
        self.write(self._last)

    def write(self, outcome: ServedOutcome) -> None:
        """What all read from now on."""
        text = json.dumps(_cut(asdict(outcome))).encode()
        self._memory[_HEAD.size : _HEAD.size + len(text)] = text
        # `pack_into` would put zeros there first, which are the head of nothing at all.
        self._memory[: _HEAD.size] = _HEAD.pack(len(text), zlib.crc32(text))
        self._last = outcome

    def read(self) -> ServedOutcome:
        """What was written last; where the writer was killed while it wrote, what was read last."""
        for _ in range(_READS):
            length, checksum = _HEAD.unpack_from(self._memory)
            text = self._memory[_HEAD.size : _HEAD.size + min(length, _ROOM)]
            if length and zlib.crc32(text) == checksum:
                self._last = _outcome(json.loads(text))
                break
            time.sleep(_AGAIN)
        return self._last


def _cut(outcome: dict[str, Any]) -> dict[str, Any]:
    refused = outcome["refused"]
    return outcome | ({"refused": refused | {"reason": refused["reason"][:_REASON]}} if refused else {})


def _outcome(fields: Mapping[str, Any]) -> ServedOutcome:
    refused = fields["refused"]
    return ServedOutcome(**{**fields, "refused": None if refused is None else Refused(**refused)})


def health_of(health: dict[str, Any], board: Board | None) -> dict[str, Any]:
    """What `Live.health` says, with what a supervisor knows of what is published."""
    if board is None:
        return health
    about = asdict(board.read())
    names = ("reloads", "refusals", "refused")
    return health | {name: about[name] for name in names} | {"reloaded_at": about["at"], "watching": True}
