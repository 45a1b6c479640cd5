"""Whether a server still has the log that a process read, or one in its place: numbers of one mean nothing in
the other."""

from __future__ import annotations

from collections.abc import Callable


class Lineage:
    """What one process knows of a log's descent. generation: counts the logs that took another's place.

    A server that began to run anew, or a copy that took its place, has the same log if it has the last write
    that was known of it. One that lost that write may have given its number to another since.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._run: str | None = None
        self._log: str | None = None
        self._last: str | None = None

    def follow(self, run: str, log: str | None, last: str | None, has: Callable[[str], bool]) -> int:
        """The generation of what was just read.

        run: of the server. log: its name; None where nothing was written. last: the name of the last write.
        has: whether the server remembers a write.
        """
        if self._run is not None and (run, log) != (self._run, self._log):
            same = self._log in (None, log)
            kept = self._last in (None, last) or run == self._run or has(str(self._last))
            self.generation += not (same and kept)
        self._run, self._log, self._last = run, log, last
        return self.generation
