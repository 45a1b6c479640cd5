"""Waiting, in a worker, until the supervisor has taken up what was published."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from funnel.artifacts.store import Store
from funnel.errors import BundleError
from funnel.service.observing import Shared

#: Seconds between looks.
LOOK = 0.02


async def taken_up(store: Store, version: str, shared: Shared) -> None:
    """Until workers with that version answer, or another has been published since.

    Raises: BundleError where it cannot be served, saying why.
    """
    board, wake = shared.board, shared.wake
    assert board is not None
    assert wake is not None
    begun = board.read()
    with suppress(BlockingIOError):  # it is about to look anyway
        wake.send(b"\0")
    while (now := board.read()).version != version:
        if now.refused is not None and now.refused.version == version and now.refusals > begun.refusals:
            raise BundleError(now.refused.reason)
        if await asyncio.to_thread(store.published) != version:
            return
        await asyncio.sleep(LOOK)
