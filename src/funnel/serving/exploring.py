"""Which answers are drawn, and by which seed; the switch that ends it everywhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.errors import FunnelError
from funnel.serving import arguments
from funnel.serving.switches import Followed, history, write
from funnel.types import Int64, Policy, Requests
from funnel.values.ids import written
from funnel.values.shown import shown

#: The file of a store that says whether lists may be drawn.
EXPLORE = "EXPLORE.json"

#: Seeds are below: whole numbers that every reader of JSON keeps.
MOST = 2**52

#: The seed of a list that is not drawn.
NOT_DRAWN = -1


@dataclass(frozen=True)
class ExploreSwitch:
    """Whether lists may be drawn, and why not."""

    on: bool
    why: str = ""


def set_exploring(store: Path, *, on: bool, why: str) -> None:
    """Let every process that serves a store draw lists, or end it within about a second, without a new
    bundle.

    Raises: BundleError when the store cannot be written.
    """
    write(store / EXPLORE, {"on": on, "why": why})


def may_explore(store: Path) -> bool:
    """Whether the switch lets lists be drawn, as it is now."""
    absent, closed = ExploreSwitch(True), ExploreSwitch(False)
    return Followed(store / EXPLORE, _read, absent=absent, closed=closed).value.on


def let_go_on_at(store: Path) -> float | None:
    """When drawing was last let go on after it had ended, seconds since 1970; None where it never had."""
    entries = [entry for entry in history(store) if entry.get("file") == EXPLORE]
    last = next((entry for entry in reversed(entries) if entry.get("on") is True), None)
    return None if last is None else datetime.fromisoformat(str(last["at"])).timestamp()


class Exploring:
    """Of one process that serves a store."""

    def __init__(self, store: Path) -> None:
        self._switch = Followed(
            store / EXPLORE, _read, absent=ExploreSwitch(True), closed=ExploreSwitch(False)
        )

    def seeds(self, contents: Contents, users: Sequence[Any], seed: int | None) -> Int64 | None:
        """Of the requests of these users, int64 [B], negative where a list is not drawn; None where none is.
        seed: of all of them, where it is given.

        Raises: FunnelError for a seed that is none.
        """
        given = None if seed is None else _checked(seed)
        if contents.explore is None:
            return None
        if given is not None:
            seeds = [given] * len(users)
        elif not self._switch.value.on:
            return None
        else:
            seeds = _by_chance(users, contents.explore.share)
        return np.array(seeds, dtype=np.int64) if any(seed >= 0 for seed in seeds) else None

    def figures(self, contents: Contents) -> dict[str, Any]:
        """For `Live.health`."""
        switch = self._switch.value
        drawn = contents.explore is not None
        why = self._switch.error or switch.why or ("" if drawn else "the bundle draws no lists")
        return {"drawn": drawn and switch.on, "why": why, "error": self._switch.error}


def policy_of(contents: Contents, requests: Requests, b: int = 0) -> Policy | None:
    """By what the list of one request was drawn; None where it was not."""
    drawing = contents.explore
    if drawing is None or requests.seeds is None or requests.seeds[b] < 0:
        return None
    return Policy(drawing.temperature, drawing.epsilon, drawing.top, int(requests.seeds[b]))


def is_explored(user: Any, share: float) -> bool:
    """Whether lists of a user are drawn: the same in every process. Nobody's are drawn by the same share."""
    name = written(arguments.known(user))
    text = os.urandom(8) if name is None else name.encode(errors="surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8, person=b"funnel.explore").digest()
    return int.from_bytes(digest, "little") < share * 2.0**64


def _by_chance(users: Sequence[Any], share: float) -> list[int]:
    """A seed a user: 52 bits of the system's chance, which a fork does not repeat."""
    chance = os.urandom(8 * len(users))
    seeds = [int.from_bytes(chance[at : at + 8], "little") % MOST for at in range(0, len(chance), 8)]
    if share < 1:
        drawn = [is_explored(user, share) for user in users]
        seeds = [seed if is_drawn else NOT_DRAWN for seed, is_drawn in zip(seeds, drawn, strict=True)]
    return seeds


def _checked(seed: Any) -> int:
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not is_whole or not NOT_DRAWN <= seed < MOST:
        raise FunnelError(f"seed is {shown(seed)}; a whole number below 2**52 is expected, or -1 for no draw")
    return int(seed)


def _read(raw: Any) -> ExploreSwitch:
    on, why = raw["on"], raw.get("why", "")
    if not isinstance(on, bool) or not isinstance(why, str):
        raise ValueError(f"on is {on!r}, why is {why!r}; a truth value and a text are expected")
    return ExploreSwitch(on, why)
