"""Progress of a build: a line of the log for each step that ended, with its seconds."""

from __future__ import annotations

import logging
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
