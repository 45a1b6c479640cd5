"""Reads what is added to the log of answers, and what came of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

from funnel.errors import DataError
from funnel.impressions.files import LINES, in_hours
from funnel.impressions.record import Impression, from_line
from funnel.monitoring.counting import AnswerEvent

#: Seconds back in which files are looked for; bytes of a file that are read at a look.
_BACK, _MOST = 7200.0, 64 * 1024 * 1024

#: Files of which it is known how far they were read.
_FILES = 10_000

#: Answers whose feedback is waited for, at most: of more a part, so that each is waited for long enough.
WAITING = 50_000


class LogTail:
    """Follows the files of a log of answers. What was there before the first look is not read.

    most: answers that are read at a look; of more, every so-manieth. share: that was read at the last look.
    damaged: lines that were none.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._at, self._most = folder, dict[str, int](), most
        self._first = True
        self.damaged, self.share = 0, 1.0

    def read(self, now: float) -> list[Impression]:
        """What was added since the last look, by file. Whatever cannot be read is tried again."""
        lines: list[bytes] = []
        there = {}
        for path in in_hours(self._folder, now - _BACK, None):
            if path.suffix == LINES:
                there[path.name] = self._of(path, lines)
        self._at = dict(list((self._at | there).items())[-_FILES:])  # also of files that a clock left behind
        self._first = False
        some = lines[:: -(-len(lines) // self._most) or 1]
        self.share = len(some) / len(lines) if lines else 1.0
        return [answer for line in some if (answer := self._parsed(line)) is not None]

    def _parsed(self, line: bytes) -> Impression | None:
        try:
            return from_line(line)
        except DataError:
            self.damaged += 1
            return None

    def _of(self, path: Path, lines: list[bytes]) -> int:
        """Where reading goes on; of a line that is being written nothing is taken."""
        at = self._at.get(path.name, 0)
        try:
            with path.open("rb") as file:
                if self._first:
                    return file.seek(0, 2)
                file.seek(at)
                whole = file.read(_MOST)
        except OSError:
            return at
        end = whole.rfind(b"\n") + 1
        lines += filter(bytes.strip, whole[:end].split(b"\n")[:-1])  # who was forgotten leaves spaces
        return at + end


class Unsettled:
    """Answers that are not old enough for their feedback to be counted, and the feedback that came.

    settle: seconds until they are. every: seconds between two looks. orphans: events of an answer that is not
    known here, or was counted before.
    """

    def __init__(self, settle: float, every: float) -> None:
        self._settle, self._most = settle, max(1, int(WAITING / (settle / every + 2)))
        self._answers: OrderedDict[str, Impression] = OrderedDict()
        self._feedback: dict[str, list[AnswerEvent]] = {}
        self.orphans = 0

    def add(self, impressions: Sequence[Impression], feedback: Iterable[AnswerEvent]) -> None:
        """What came since the last look; of more answers than can be waited for, some, evenly apart."""
        for impression in impressions[:: -(-len(impressions) // self._most) or 1]:
            self._answers[impression.id] = impression
        while len(self._answers) > WAITING:  # after looks that could not settle any
            identity, _ = self._answers.popitem(last=False)
            self._feedback.pop(identity, None)
        for event in feedback:
            if event.answer in self._answers:
                self._feedback.setdefault(event.answer, []).append(event)
            else:
                self.orphans += 1

    def forget(self) -> None:
        """Wait for nothing any more: nobody can say how old these answers are."""
        self._answers.clear()
        self._feedback.clear()

    def settled(self, now: float) -> tuple[list[Impression], dict[str, list[AnswerEvent]]]:
        """Those that are old enough, with what came of them. An answer from the future is old enough when
        its clock says so, or an hour later."""
        old = [
            impression
            for impression in self._answers.values()
            if now - impression.time >= self._settle or impression.time > now + 3600
        ]
        came = {}
        for impression in old:
            del self._answers[impression.id]
            if (events := self._feedback.pop(impression.id, None)) is not None:
                came[impression.id] = events
        return old, came
