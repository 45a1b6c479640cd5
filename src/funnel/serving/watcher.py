"""Looks at a store now and then, so that what is published is taken up without being asked for."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from pathlib import Path
from typing import Protocol

from funnel.errors import FunnelError
from funnel.processes import PerProcess
from funnel.values.arguments import period

log = logging.getLogger(__name__)

#: Seconds between two tries at the same version, at most: a version that stays damaged is hashed so often.
LONGEST = 300.0

#: Looks between two tries, at most, however short they are.
_MOST_LOOKS = 1e9

_Mark = tuple[int, int] | None


class Refreshing(Protocol):
    """What is told to look again."""

    def refresh(self) -> bool: ...


class Watcher:
    """A thread that calls `refresh` when a file was replaced, every so many seconds at most.

    What stood in the way may pass (a file that arrives late over a network, a full memory), so a refresh that
    fails is tried again: after `seconds`, then after twice as long each time, up to `LONGEST`. Replacing the
    file, as publishing does, has it tried at once.
    It ends with `stop`, with the process, or when nothing else refers to whom it tells.
    Raises: ConfigError unless seconds is a number above 0, of a year at most.
    """

    def __init__(self, live: Refreshing, file: Path, seconds: float) -> None:
        self._live, self._file, self._seconds = weakref.ref(live), file, period(seconds, "watch")
        self._stop, self._process = False, 0
        self._starting = PerProcess(threading.Lock)
        self.keep_on()

    def _begin(self) -> None:
        self._stopped = threading.Event()
        arguments = (self._live, self._file, Tries(self._seconds), self._stopped)
        self._thread = threading.Thread(target=_watch, args=arguments, name="funnel-watch", daemon=True)
        self._thread.start()
        self._process = os.getpid()

    @property
    def alive(self) -> bool:
        """Whether this process looks."""
        return self._process == os.getpid() and self._thread.is_alive()

    def keep_on(self) -> None:
        """Look in this process too: threads do not survive a fork."""
        if self._process != os.getpid() and not self._stop:
            with self._starting.get():
                if self._process != os.getpid():
                    self._begin()

    def stop(self) -> None:
        """End the thread; at once, unless it is loading."""
        self._stop = True
        self._stopped.set()


class Tries:
    """When to try: at once where the file is another one, later and later where the last try failed.

    seconds: between two looks. Time is counted in looks, so that no clock can stop it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._most = max(1, int(min(LONGEST / seconds, _MOST_LOOKS)))
        self._seen: _Mark = (-1, -1)
        self._pause = self._left = 0  # looks from one try to the next, and until the next; 0: none is due

    def due(self, mark: _Mark) -> bool:
        """Whether to try now. mark: the file's; to be called once a look."""
        if mark != self._seen:
            self._seen, self._pause = mark, 0
            return True
        self._left -= 1
        return self._pause > 0 and self._left <= 0

    def ended(self, *, well: bool) -> None:
        """What came of a try."""
        self._pause = 0 if well else min(max(1, 2 * self._pause), self._most)
        self._left = self._pause


def _watch(
    reference: weakref.ReferenceType[Refreshing], file: Path, tries: Tries, stopped: threading.Event
) -> None:
    while not stopped.wait(tries.seconds):
        live = reference()
        if live is None:
            return
        if tries.due(mark(file)):
            tries.ended(well=_refreshed(live))
        del live  # else the last reference would be ours while we wait


def _refreshed(live: Refreshing) -> bool:
    """Whether it went well; whatever goes wrong is tried again."""
    try:
        live.refresh()
    except FunnelError:
        return False  # said and kept by whom we told
    except Exception:
        log.exception("looking for a newly published bundle failed")
        return False
    return True


def mark(file: Path) -> _Mark:
    """What a file is known by: another one after each replacement; None where there is no such file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
