"""Looks at a store now and then, so that what is published is taken up without being asked for."""

from __future__ import annotations

import logging
import threading
import weakref
from pathlib import Path
from typing import Protocol

from funnel.errors import ConfigError, FunnelError

log = logging.getLogger(__name__)

_Mark = tuple[int, int] | None


class Refreshing(Protocol):
    """What is told to look again."""

    def refresh(self) -> bool: ...


class Watcher:
    """A thread that calls `refresh` when a file was replaced, every so many seconds at most.

    It ends with `stop`, with the process, or when nothing else refers to whom it tells. What was refused is
    not tried again before the file is replaced again: publishing does that.
    Raises: ConfigError when seconds is not above 0.
    """

    def __init__(self, told: Refreshing, file: Path, seconds: float) -> None:
        if not seconds > 0:
            raise ConfigError(f"watch is {seconds!r}; it must be a number of seconds above 0")
        self._stopped = threading.Event()
        arguments = (weakref.ref(told), file, seconds, self._stopped)
        threading.Thread(target=_watch, args=arguments, name="funnel-watch", daemon=True).start()

    def stop(self) -> None:
        """End the thread; at once, unless it is loading."""
        self._stopped.set()


def _watch(
    told: weakref.ReferenceType[Refreshing], file: Path, seconds: float, stopped: threading.Event
) -> None:
    seen: _Mark = (-1, -1)
    while not stopped.wait(seconds):
        live = told()
        if live is None:
            return
        mark = _mark(file)
        if mark != seen:
            seen = mark
            _refresh(live)
        del live  # else the last reference would be ours while we wait


def _refresh(live: Refreshing) -> None:
    try:
        live.refresh()
    except FunnelError:
        return  # said and kept by whom we told
    except Exception:
        log.exception("looking for a newly published bundle failed")


def _mark(file: Path) -> _Mark:
    """Another one after each replacement; None where there is no such file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
