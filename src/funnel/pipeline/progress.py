"""Progress of a build: a line of the log for each step that ended, with its seconds."""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Log, at level INFO, that the step `name` ended and after how many seconds; also where it failed."""
    began = time.perf_counter()
    ended = "failed after "
    try:
        yield
        ended = ""
    finally:
        log.info("%s: %s%.1f s", name, ended, time.perf_counter() - began)
        give_back()


def give_back() -> None:
    """Have the C library give memory that a step freed back to the system: glibc keeps hundreds of megabytes
    between blocks that are still in use. Elsewhere nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
