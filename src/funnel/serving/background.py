"""Work that requests do not wait for, done by threads that give way to them."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Added to the niceness of such a thread: about a tenth of the time of one that it shares a core with.
_NICER = 10


def in_background(work: Callable[[], T]) -> T:
    """What `work` returns, done in a thread of low priority; threads that it starts have it too.

    For work that lets go of Python's lock: who holds the lock is waited for, however seldom it may run. Where
    the system has no priority for a thread (it is Linux that has), it is done in a thread like any other.
    """
    with ThreadPoolExecutor(1, "funnel-background", initializer=_give_way) as pool:
        return pool.submit(work).result()


def started(work: Callable[[], T], *, give_way: bool) -> Future[T]:
    """What `work` will return, from a thread. give_way: of low priority, as those that it starts have it."""
    pool = ThreadPoolExecutor(1, "funnel-begun", initializer=_give_way if give_way else None)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


def later(work: Callable[[], object]) -> None:
    """Have something done in a thread of low priority, without waiting for it; what it raises is logged.

    Raises: RuntimeError when no thread can be started.
    """
    threading.Thread(target=_quietly, args=(work,), name="funnel-later", daemon=True).start()


def _quietly(work: Callable[[], object]) -> None:
    _give_way()
    try:
        work()
    except Exception:
        log.exception("work in the background failed")


def give_back() -> None:
    """Return to the system what was freed. glibc keeps it where something small lies behind it: after forty
    swaps of 100,000 items under load that was 190 MiB. Other C libraries are left alone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)  # Python's lock is let go of meanwhile


def _give_way() -> None:
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICER))
    except OSError as error:  # a thread like any other, then
        log.debug("no lower priority: %s", error)
