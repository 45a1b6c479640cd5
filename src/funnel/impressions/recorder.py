"""What a process has to log: handed over by requests, which never wait, and written in the background."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path
from typing import Any

from funnel.impressions.record import Impression
from funnel.impressions.sweep import Retention
from funnel.impressions.writer import Writer

#: Seconds that the end of a process waits for what is not written yet.
PATIENCE = 5.0


class Recorder:
    """Takes answers of one process, and of each that is forked from it, and writes them to files of the log.

    folder: see `answers_folder`; it is made with the first answer. bound: answers that wait at most.
    retention: what goes by itself, looked at with each hour's first answer.

    What waits when the process is killed is lost: what came in a fiftieth of a second and while that was
    written; at its usual end it is written. What is written is the system's and outlives the process; it is
    not forced to the disk, so that a machine that loses its power loses what the system had not yet put
    there.
    """

    def __init__(self, folder: Path, bound: int = 10_000, retention: Retention | None = None) -> None:
        self.folder, self._bound = folder, bound
        self._retention = Retention() if retention is None else retention
        self._of_process: dict[int, Writer] = {}

    def put(self, make: Callable[[], Impression]) -> bool:
        """Have an answer logged; False where too many wait, and it is dropped. make: called in the
        background, at most once."""
        return self._writer().put(make)

    def _writer(self) -> Writer:
        """That of this process: the threads, locks and files of a parent are not ours."""
        process = os.getpid()
        writer = self._of_process.get(process)
        if writer is None:
            writer = self._of_process.setdefault(process, Writer(self.folder, self._bound, self._retention))
            for other in [key for key in self._of_process if key != process]:
                self._of_process.pop(other, None)
            # A child of `multiprocessing` ends by these alone, any other process by these too.
            util.Finalize(self, _close, args=(self._of_process,), exitpriority=10)
        return writer

    def flush(self, seconds: float = PATIENCE) -> bool:
        """Wait until all that was handed over is written; whether it was within so many seconds."""
        return self._writer().flush(seconds)

    def close(self, seconds: float = PATIENCE) -> None:
        """Write what waits, for so many seconds at most, and end the thread; `put` begins anew."""
        self._writer().close(seconds)

    @staticmethod
    def nothing(bound: int) -> dict[str, Any]:
        """`figures` where nothing was logged yet."""
        return Writer(Path(), bound, Retention()).figures()

    def figures(self) -> dict[str, Any]:
        """Of this process: answers recorded and dropped, bytes, those that wait and their bound, seconds that
        the oldest waits, errors, and what is wrong now; old files that it removed, and the bytes of the whole
        log when it last looked."""
        return self._writer().figures()


def _close(of_process: dict[int, Writer]) -> None:
    writer = of_process.get(os.getpid())
    if writer is not None:
        writer.close(PATIENCE)
