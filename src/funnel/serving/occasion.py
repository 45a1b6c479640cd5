"""What frequency caps and budgets go by: the clock, chance, and what a user was shown."""

from __future__ import annotations

import hashlib
import time as clocks
from collections.abc import Sequence
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.errors import BundleError
from funnel.serving import arguments
from funnel.serving.state.impressions import ImpressionLog
from funnel.types import Occasion, Ragged
from funnel.values.ids import written


def occasion_of(
    contents: Contents, log: ImpressionLog, user_ids: Sequence[Any], time: int | None, seed: int
) -> tuple[Occasion | None, str | None]:
    """The occasion of requests of these users; None where no rule asks for it. Why impressions could not be
    read, where they could not: then nothing that has a cap may be shown to those whose they are.

    time: of the request, default that of the log's clock.
    """
    if not contents.rules or not contents.ruleset.is_live:
        return None, None
    now = _now(contents, log) if time is None else time
    users = [written(arguments.known(user)) for user in user_ids]
    error, events, known = None, [], np.ones(len(users), dtype=np.bool_)
    for number, user in enumerate(users):
        some: list[tuple[str, int]] = []
        if user is not None and contents.ruleset.window:
            try:
                some = log.of(user, now - contents.ruleset.window)
            except BundleError as wrong:
                error, known[number] = str(wrong), False
        events.append(some)
    rows, times = _in_rows(contents, events)
    keys = np.array([_key(user, now, seed) for user in users], dtype=np.int64)
    return Occasion(np.full(len(users), now, dtype=np.int64), keys, rows, times, known), error


def _now(contents: Contents, log: ImpressionLog) -> int:
    """By the clock of the impressions that are counted: where it cannot be read, they cannot either."""
    try:
        return int(log.now() if contents.ruleset.window else clocks.time())
    except BundleError:
        return int(clocks.time())


def _in_rows(contents: Contents, events: Sequence[Sequence[tuple[str, int]]]) -> tuple[Ragged, Ragged]:
    """Impressions as rows of items and times; of items that are not there any more nothing is known."""
    if not any(events):
        return Ragged.empty(len(events)), Ragged.empty(len(events), np.int64)
    rows = [contents.catalogue.ids.rows([item for item, _ in some]) for some in events]
    times = [np.array([at for _, at in some], dtype=np.int64) for some in events]
    there = [some >= 0 for some in rows]
    return (
        Ragged.from_lists([some[kept] for some, kept in zip(rows, there, strict=True)]),
        Ragged.from_lists([some[kept] for some, kept in zip(times, there, strict=True)], np.int64),
    )


def _key(user: str | None, now: int, seed: int) -> int:
    """The same for the same user, second and seed, on any machine."""
    text = f"{seed}\0{now}\0{'' if user is None else user}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little", signed=True)
