"""From answers to counts: which rates and values an answer has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from funnel.impressions.record import Impression
from funnel.monitoring.counts import Counts, Rate, Variable
from funnel.monitoring.edges import Bins, NameBins
from funnel.monitoring.measures import AGE, DELAY, LENGTH, MOVED, Measures, spreads
from funnel.serving.response import SKIPPED, STATE_UNREADABLE, UNKNOWN_USER
from funnel.types import Float32

TOP, SPREAD = Variable("scores", "first"), Variable("scores", "spread")
POSITIONS, COVERAGE, DELAYS = Variable("positions"), Variable("coverage"), Variable("delay")
LENGTHS, AGES, WHERE = Variable("history", "length"), Variable("history", "age"), Variable("context", "where")
CALIBRATION = Variable("calibration")

#: Seconds that an event may be before the answer that showed its item: clocks are never the same.
_EARLY = 2.0

#: Seconds that a process has to know what was acknowledged; looks at the log that are remembered.
_GRACE, _MARKS = 10.0, 1000

#: Positions whose click rates are watched.
_POSITIONS = 10


class AnswerEvent(NamedTuple):
    """An event that names an answer. item: its id; time: seconds, 0 where the data have no clock."""

    answer: str
    item: Any
    time: float


class Remade(NamedTuple):
    """What is known of a sampled answer when it was made again.

    features: float32 [F], of one candidate; None where no ranker is. silent: by source, whether it found
    nothing. length, age: of the history read, items and seconds; NaN for the age of none. equal: whether it
    came out the same; None where nobody can tell.
    """

    impression: Impression
    features: Float32 | None
    silent: Mapping[str, bool]
    length: int
    age: float
    equal: bool | None


class Counting:
    """Counts answers of one bundle. row: of an item id, -1 where the bundle does not have it. parts: how many
    parts of the answers have rates of their own, at most."""

    def __init__(self, measures: Measures, row: Callable[[Any], int], parts: int) -> None:
        self._measures, self._row, self._most = measures, row, parts
        self._parts: set[str] = set()
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MARKS)
        self._log: int | None = None

    def goes_by(self, log: int | None) -> None:
        """By which log of events answers go; how many another one had says nothing of them."""
        if log != self._log:
            self._marks.clear()
        self._log = log

    def mark(self, now: float, events_at: int) -> None:
        """So many events were in the log at this moment."""
        self._marks.append((now, events_at))

    def known_at(self, time: float) -> int | None:
        """How many events must be in an answer of this moment; None where that is not known."""
        return next((number for at, number in reversed(self._marks) if at <= time - _GRACE), None)

    def answers(self, counts: Counts, impressions: Iterable[Impression]) -> None:
        """Answers as they were logged; only those that `recommend` gave."""
        for impression in impressions:
            if impression.call == "recommend":
                self._answer(counts, impression)

    def _answer(self, counts: Counts, impression: Impression) -> None:
        counts.answers += 1
        for part in ("", *self._parts_of(impression)):
            self._rates(counts, impression, part)
        for name, edges in self._measures.context.items():
            value = impression.context.get(name)
            counts.rate(Rate("missing", f"context {name}"), value is None)
            counts.bin(Variable("context", name), _bin_of(edges, value), edges.n_bins)
        counts.bin(WHERE, int(impression.where is not None), 2)
        self._scores(counts, impression)
        if impression.shown:
            self._shown(counts, impression)

    def _rates(self, counts: Counts, impression: Impression, part: str) -> None:
        n, reasons = len(impression.shown), impression.reasons
        counts.rate(Rate("empty", "", part), n == 0)
        counts.rate(Rate("short", "", part), 0 < n < impression.k)
        counts.rate(Rate("unknown", "", part), impression.user is not None and UNKNOWN_USER in reasons)
        counts.rate(Rate("skipped", "", part), any(code.startswith(SKIPPED) for code in reasons))
        if not part:
            counts.rate(Rate("state"), STATE_UNREADABLE in reasons)
            if (known := self.known_at(impression.time)) is not None:
                counts.rate(Rate("stale"), state_of(impression)[1] < known)

    def _parts_of(self, impression: Impression) -> list[str]:
        """Texts and truths of the context, and arms: each value that is among the first that came."""
        given = [
            f"{name}={value}" for name, value in impression.context.items() if isinstance(value, str | bool)
        ]
        given += [f"{name}={arm}" for name, arm in impression.arms.items()]
        for part in given:
            if part not in self._parts and len(self._parts) < self._most:
                self._parts.add(part)
        return [part for part in given if part in self._parts]

    def _scores(self, counts: Counts, impression: Impression) -> None:
        scores = impression.scores[np.isfinite(impression.scores)]
        if len(scores) > 1:
            counts.rate(Rate("flat"), bool((scores == scores[0]).all()))
        if impression.version == self._measures.version and len(scores):
            top, spread = self._measures.top, self._measures.spread
            counts.bin(TOP, top.bin(float(scores[0])), top.n_bins)
            counts.bin(SPREAD, spread.bin(float(spreads(scores[None])[0])), spread.n_bins)

    def _shown(self, counts: Counts, impression: Impression) -> None:
        """Of one position each, so that values are of different answers."""
        position = chance_of(impression.id) % len(impression.shown)
        at = impression.shown[position]
        counts.bin(POSITIONS, MOVED.bin(at - position), MOVED.n_bins)
        row = self._row(impression.items[at])
        known = 0 <= row < len(self._measures.popularity)
        counts.bin(COVERAGE, int(self._measures.popularity[row]) if known else 10, 11)

    def remade(self, counts: Counts, some: Iterable[Remade]) -> None:
        """Sampled answers that were made again."""
        for answer in some:
            for source, silent in answer.silent.items():
                counts.rate(Rate("source", source), silent)
            counts.bin(LENGTHS, LENGTH.bin(answer.length), LENGTH.n_bins)
            counts.bin(AGES, AGE.bin(answer.age), AGE.n_bins)
            if answer.features is not None:
                self._features(counts, answer.features)

    def _features(self, counts: Counts, features: Float32) -> None:
        for (name, edges), value in zip(self._measures.features.items(), features.tolist(), strict=True):
            counts.rate(Rate("missing", f"feature {name}"), value != value)
            counts.bin(Variable("feature", name), edges.bin(value), edges.n_bins)

    def feedback(
        self, counts: Counts, impressions: Iterable[Impression], feedback: Mapping[str, list[AnswerEvent]]
    ) -> None:
        """Answers that are old enough, and what came of them. feedback: by answer."""
        for impression in impressions:
            if impression.call == "recommend" and impression.shown:
                self._clicks(counts, impression, feedback.get(impression.id, []))

    def _clicks(self, counts: Counts, impression: Impression, came: list[AnswerEvent]) -> None:
        counts.rate(Rate("join"), not came)
        for event in [event for event in came[:1] if event.time]:
            delay = event.time - impression.time
            counts.rate(Rate("clock"), delay < -_EARLY)
            counts.bin(DELAYS, DELAY.bin(delay), DELAY.n_bins)
        items = {event.item for event in came}
        clicked = [item in items or str(item) in items for item in impression.shown_items]
        for position, happened in enumerate(clicked[:_POSITIONS], start=1):
            counts.label(Variable("clicks", f"position {position}"), happened)
        if self._measures.head is not None and impression.version == self._measures.version:
            probable = self._measures.head(impression.scores[list(impression.shown)])
            if np.isfinite(probable).all():
                counts.label(CALIBRATION, sum(clicked), float(probable.sum()))


def state_of(impression: Impression) -> tuple[int, int]:
    """Changes of items and events that were in it at least; −1 where that is not known."""
    items, _, events = impression.state.partition(".")
    try:
        return int(items), int(events)
    except ValueError:
        return -1, -1


def chance_of(identity: str) -> int:
    """A number by which chance goes, the same whenever it is asked."""
    try:
        return int(identity[-8:], 16)
    except ValueError:
        return sum(identity.encode())


def _bin_of(edges: Bins | NameBins, value: Any) -> int:
    """Of what a caller says; whatever cannot be meant is as if it were missing."""
    if isinstance(edges, NameBins):
        return edges.bin(None if value is None else str(value))
    if isinstance(value, list | tuple | np.ndarray):
        return edges.bin(len(value))
    number = isinstance(value, int | float) and not isinstance(value, str)
    return edges.bin(float(value) if number else float("nan") if value is None else 1.0)
