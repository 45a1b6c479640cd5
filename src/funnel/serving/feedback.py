"""What came of what a store's processes answered, as figures: from the log of answers and the state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from funnel.artifacts.manifest import Manifest
from funnel.artifacts.store import Store
from funnel.impressions import ImpressionsConfig, ReadFigures, answers_folder, read
from funnel.impressions.join import SKEW, Joiner, JoinFigures
from funnel.serving.state import Event, StateLog
from funnel.serving.state.log import Counted
from funnel.serving.state.sqlite import MOST_OF_USER

#: Events that are read from the log together.
_CHUNK = 20_000


@dataclass(frozen=True)
class FeedbackFigures:
    """read: of the log. joined: of its answers, and of the events that name one."""

    read: ReadFigures
    joined: JoinFigures


def feedback_figures(
    store: Path,
    state: StateLog,
    since: float,
    *,
    window: float = 86_400,
    clicks: Collection[str] | None = None,
) -> FeedbackFigures:
    """Figures of the answers since a moment, and of the events since then that name an answer.

    An event may be of an answer before that moment, which is looked at as well, and not counted. Reads the
    log from there on, and all events of the state.

    Raises: BundleError where the state cannot be read; DataError for a compacted file that is damaged.
    """
    figures = ReadFigures()
    joiner = Joiner(named_events(state, since), window, clicks)
    for impression in read(answers_folder(store), since - window - SKEW, None, figures):
        rows = joiner.rows(impression)
        if impression.time < since:
            joiner.figures.answers -= 1
            joiner.figures.shown -= len(rows)
    return FeedbackFigures(figures, joiner.done())


def window_of(store: Store) -> int:
    """Within how many seconds an event may come of its list, as the config of the published bundle says.
    Raises: BundleError for one that is damaged."""
    published = store.published()
    config = {} if published is None else Manifest.load(store.path(published)).config
    window = config.get("impressions", {}).get("window", ImpressionsConfig().window)
    return ImpressionsConfig(window=window).window_seconds


@dataclass(frozen=True)
class KeptEvents:
    """What a state keeps of each user, whose newest events it keeps: how many, and the time of the first."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def count(self, event: Counted) -> None:
        """Count one; in their order."""
        self.counts[event.user] += 1
        self.first.setdefault(event.user, event.time)

    def whole_since(self, user: str | None) -> float:
        """The moment since which all events of a user are there: minus infinity where none can have gone,
        infinity where events have no time."""
        if user is None or self.counts[user] < MOST_OF_USER:
            return -inf
        return self.first[user] + 1.0 if self.first[user] else inf  # of whole seconds, cut off


def named_events(state: StateLog, since: float, kept: KeptEvents | None = None) -> Iterator[Event]:
    """Events since a moment, or of none, that name an answer, in their order. kept: counts all that are met.
    Raises: BundleError where the state cannot be read."""
    number, more = 0, True
    while more:
        events = state.events_after(number, _CHUNK)
        more = len(events) == _CHUNK
        for event in events:
            number = event.number
            if kept is not None:
                kept.count(event)
            if event.answer is not None and (not event.time or event.time >= since):
                yield Event(*event[1:])
