"""The thread that writes what was handed over."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from funnel.impressions.files import HOUR, hour_of
from funnel.impressions.hour_file import HourFile
from funnel.impressions.record import Impression, as_line
from funnel.impressions.sweep import Retention, Swept, sweep

log = logging.getLogger(__name__)

#: Seconds in which answers gather before they are written together: what a killed process loses, beside what
#: comes while they are written. After an error, until the next try.
GATHER, AGAIN = 0.02, 1.0

#: Answers that are written with one call of the system.
_TOGETHER = 500

#: Seconds between two answers, for requests to have their turn at the interpreter; no rest where more wait.
_REST, _MANY = 0.00005, 500

_Make = Callable[[], Impression]


class Writer:
    """Of one process. See `Recorder`.

    An answer is in `_waiting`, then as a line in `_lines`, until it is on the disk: what cannot be written is
    kept and tried again, and where both are full the next is dropped.
    """

    def __init__(self, folder: Path, bound: int, retention: Retention) -> None:
        self._bound, self._retention = bound, retention
        self._waiting: deque[tuple[float, _Make]] = deque()
        self._lines: deque[tuple[float, int, bytes]] = deque()
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = 0.0  # when the thread gives up; 0: not at all
        self._file = HourFile(folder)
        self._recorded = self._dropped = self._errors = 0
        self._error: str | None = None
        self._swept_in: int | None = None  # the hour of the file that was open then
        self._swept = Swept(0, 0)

    def put(self, make: _Make) -> bool:
        """See `Recorder.put`."""
        if len(self._waiting) + len(self._lines) >= self._bound:
            with self._lock:
                self._dropped += 1
            return False
        self._waiting.append((time.monotonic(), make))
        if not self._wake.is_set():
            self._wake.set()
            self._start()
        return True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._ending = 0.0
                self._thread = threading.Thread(target=self._run, name="funnel-impressions", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> bool:
        """See `Recorder.flush`."""
        end = time.monotonic() + seconds
        while self._waiting or self._lines:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def close(self, seconds: float) -> None:
        """See `Recorder.close`."""
        with self._lock:
            thread, self._ending = self._thread, time.monotonic() + seconds
        if thread is None:
            return
        self._wake.set()
        if thread is not threading.current_thread():
            thread.join(seconds + 1)

    def figures(self) -> dict[str, Any]:
        """See `Recorder.figures`."""
        return {
            "recorded": self._recorded,
            "dropped": self._dropped,
            "bytes": self._file.written,
            "waiting": len(self._waiting) + len(self._lines),
            "bound": self._bound,
            "lag_seconds": round(self._lag(), 3),
            "errors": self._errors,
            "error": self._error,
            "removed": self._swept.removed,
            "size": self._swept.size,
        }

    def _lag(self) -> float:
        for waiting in (self._lines, self._waiting):
            with contextlib.suppress(IndexError):  # another thread has taken it meanwhile
                return time.monotonic() - waiting[0][0]
        return 0.0

    def _run(self) -> None:
        while True:
            self._wake.wait(self._until_hour_ends())
            time.sleep(self._pause())
            self._wake.clear()
            self._write_all()
            self._sweep()
            if self._has_ended():
                return

    def _pause(self) -> float:
        """Seconds for answers to gather, or for what stood in the way to pass."""
        if self._ending:
            return 0.0 if self._error is None else 0.1
        return GATHER if self._error is None else AGAIN

    def _until_hour_ends(self) -> float | None:
        """Seconds after which the open file is one of an hour that is over; None where there is none."""
        if self._waiting or self._lines:  # not written yet: tried again without being woken
            return 0.0
        hour = self._file.hour
        return None if hour is None else min(max(1.0, hour + HOUR - time.time()), HOUR)

    def _has_ended(self) -> bool:
        """Whether the thread is to end, and does: nothing waits, or there is no more time for it."""
        hour = self._file.hour
        if hour is not None and not self._lines and time.time() >= hour + HOUR:
            self._file.close()
        with self._lock:
            if self._ending:
                self._wake.clear()  # before we look, so that whoever comes later starts another thread
            over = self._ending and time.monotonic() >= self._ending
            if not self._ending or ((self._waiting or self._lines) and not over):
                return False
            self._dropped += len(self._waiting) + len(self._lines)
            self._waiting.clear()
            self._lines.clear()
            self._file.close()
            self._thread = None
            return True

    def _write_all(self) -> None:
        while self._waiting or self._lines:
            self._encode()
            try:
                self._write()
                self._error = None
            except OSError as error:
                self._failed(f"{self._file.folder} cannot be written: {error.strerror or error}")
                return
            except Exception as error:  # a thread that ends would log nothing any more
                self._failed(repr(error))
                return

    def _sweep(self) -> None:
        """Remove what is too old or too much, once an hour."""
        hour = self._file.hour
        if hour is None or hour == self._swept_in:
            return
        try:
            swept = sweep(self._file.folder, self._retention, time.time())
        except OSError as error:
            self._swept_in = hour
            self._failed(f"{self._file.folder} cannot be looked through: {error.strerror or error}")
            return
        if swept is not None:
            self._swept_in = hour
            self._swept = Swept(self._swept.removed + swept.removed, swept.size)

    def _encode(self) -> None:
        while self._waiting and len(self._lines) < _TOGETHER:
            since, make = self._waiting[0]
            try:
                impression = make()
                line = as_line(impression)
                self._lines.append((since, hour_of(impression.time), line))
            except Exception as error:  # of one answer, which must not stop the others
                self._failed(f"an answer cannot be logged: {error!r}")
                with self._lock:
                    self._dropped += 1
            self._waiting.popleft()
            if len(self._waiting) < _MANY:
                time.sleep(_REST)

    def _write(self) -> None:
        """Write the lines of the first line's hour. Raises: OSError; all of them are kept then."""
        if not self._lines:
            return
        hour = self._lines[0][1]
        n = next((n for n, line in enumerate(self._lines) if line[1] != hour), len(self._lines))
        self._file.append(hour, b"".join(self._lines[at][2] for at in range(n)))
        self._recorded += n
        for _ in range(n):
            self._lines.popleft()

    def _failed(self, why: str) -> None:
        self._errors += 1
        if self._error is None:
            log.error("%s; requests are answered, and what cannot be kept is counted", why)
        self._error = why
