"""What came of what was shown: events that name an answer, joined with it.

An event comes of a list where it names the list's answer, is of its user, of an item that the list showed,
and of a moment within the window behind it, or of none where there is no clock. Whatever else an event may be
is counted, and clicks nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import pandas as pd

from funnel.impressions.frames import COLUMNS, rows_of
from funnel.impressions.record import Impression

#: Seconds that an event may be before its list and come of it: two machines are never of one time.
SKEW = 60

#: The kind of events of which nobody said one.
INTERACTION = "interaction"


class FeedbackEvent(Protocol):
    """An event, as `Live.observe` takes it."""

    @property
    def user_id(self) -> Any: ...

    @property
    def item_id(self) -> Any: ...

    @property
    def time(self) -> int | None: ...

    @property
    def kind(self) -> str | None: ...

    @property
    def value(self) -> float | None: ...

    @property
    def answer(self) -> str | None: ...


@dataclass
class JoinFigures:
    """answers, shown: lists, and items in them. events: all; named: those that name an answer, each of which
    is one of the following.

    joined: comes of an item that was shown. duplicates: another of the same answer, item and kind. orphans:
    of an answer that is not there. other_user: of another's answer. not_shown: of an item that the answer did
    not show. early: before its answer, by more than a minute. late: after the window.
    """

    answers: int = 0
    shown: int = 0
    events: int = 0
    named: int = 0
    joined: int = 0
    duplicates: int = 0
    orphans: int = 0
    other_user: int = 0
    not_shown: int = 0
    early: int = 0
    late: int = 0

    @property
    def join_rate(self) -> float:
        """Share of the events with an answer that came of it, another time counted as well; NaN for none."""
        return (self.joined + self.duplicates) / self.named if self.named else float("nan")

    def add(self, other: JoinFigures) -> None:
        """Add the figures of other lists."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass(frozen=True)
class Joined:
    """frame: the rows of `to_frame`, with `clicked`, and for each kind of event that came of any item
    `outcome.KIND`, and `value.KIND`, the sum of its values where some had one."""

    frame: pd.DataFrame
    figures: JoinFigures = field(default_factory=JoinFigures)


class Joiner:
    """Events that name an answer, to be joined with lists one at a time.

    events: in the order in which they came; those without an answer are counted only. window: seconds behind
    a list in which an event comes of it. clicks: kinds of events that make an item a clicked one,
    "interaction" among them where nobody said a kind; None: every kind does.
    """

    def __init__(
        self, events: Iterable[FeedbackEvent], window: float = 86_400, clicks: Collection[str] | None = None
    ) -> None:
        self.figures = JoinFigures()
        self._window, self._clicks = window, clicks
        self._of_answer: dict[str, list[FeedbackEvent]] = defaultdict(list)
        for event in events:
            self.figures.events += 1
            if event.answer is not None:
                self.figures.named += 1
                self._of_answer[event.answer].append(event)

    def rows(self, impression: Impression) -> list[dict[str, Any]]:
        """The rows of one answer, with what came of each; an answer is to be given once."""
        rows = rows_of(impression)
        for row in rows:
            row["clicked"] = False
        self.figures.answers += 1
        self.figures.shown += len(rows)
        events = self._of_answer.pop(impression.id, ())
        if events:
            self._join(impression, rows, events)
        return rows

    def _join(
        self, impression: Impression, rows: Sequence[dict[str, Any]], events: Sequence[FeedbackEvent]
    ) -> None:
        of_item = {str(row["item_id"]): row for row in rows}
        taken: set[tuple[str, str]] = set()
        for event in events:
            kind, item = event.kind or INTERACTION, str(event.item_id)
            problem = self._problem(impression, event, of_item)
            if problem is None and (item, kind) in taken:
                problem = "duplicates"
            if problem is not None:
                setattr(self.figures, problem, getattr(self.figures, problem) + 1)
                continue
            taken.add((item, kind))
            self.figures.joined += 1
            self._take(of_item[item], kind, event.value)

    def _problem(self, impression: Impression, event: FeedbackEvent, of_item: Collection[str]) -> str | None:
        """Why an event does not come of an answer; the name of its figure."""
        if impression.user is not None and str(impression.user) != str(event.user_id):
            return "other_user"
        if str(event.item_id) not in of_item:
            return "not_shown"
        if not event.time:  # the data have no clock
            return None
        after = event.time - int(impression.time)  # an event has whole seconds, cut off
        if after < -SKEW:
            return "early"
        return "late" if after > self._window else None

    def _take(self, row: dict[str, Any], kind: str, value: float | None) -> None:
        row["clicked"] = row["clicked"] or self._clicks is None or kind in self._clicks
        row[f"outcome.{kind}"] = True
        if value is not None:
            row[f"value.{kind}"] = value

    def done(self) -> JoinFigures:
        """The figures, where all answers were given: events that are left name none of them."""
        self.figures.orphans += sum(map(len, self._of_answer.values()))
        self._of_answer.clear()
        return self.figures


def join(
    impressions: Iterable[Impression],
    events: Iterable[FeedbackEvent],
    *,
    window: float = 86_400,
    clicks: Collection[str] | None = None,
) -> Joined:
    """Answers and what came of them, a row an item that was shown.

        joined = funnel.join_impressions(funnel.read_impressions("indexes/live/answers"), events)

    impressions: each answer once, as `read` gives them. events: `funnel.Event`, in the order in which they
    came. window, clicks: see `Joiner`. What is joined again, with the same events or with some of them twice,
    comes out the same.
    """
    joiner = Joiner(events, window, clicks)
    rows = [row for impression in impressions for row in joiner.rows(impression)]
    frame = pd.DataFrame(rows, columns=None if rows else [*COLUMNS, "clicked"])
    outcomes = [name for name in frame.columns if name.startswith("outcome.")]
    frame[outcomes] = frame[outcomes].notna()
    return Joined(frame, joiner.done())
