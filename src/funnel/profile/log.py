"""The log in figures: the time it spans, the parts of its split, the lists that were shown."""

from __future__ import annotations

import numpy as np

from funnel.data.columnar.grouping import counted, present
from funnel.data.columnar.table import Table
from funnel.data.windows import show
from funnel.distinct import distinct
from funnel.settings import Settings
from funnel.types import Examples, Log

_PERIODS = 60  # bars of events over time

#: Positions that are counted; the last has all behind it, since a single wrong one may be any number.
_POSITIONS = 1_000


class Span(Settings):
    """From the first to the last event, ISO 8601 (UTC), and the events in equal periods between."""

    first: str
    last: str
    days: float
    counts: tuple[int, ...]


class SplitPart(Settings):
    """A part of the split. Cold is what has no event in the training part.

    requests: 0 for the training part. events: those of the training part, else the targets. cold_users:
    share of the requests whose user is cold. cold_items: share of the targets that are cold. history: the
    median length of a request's history.
    """

    name: str
    requests: int
    events: int
    users: int
    items: int
    cold_users: float = 0.0
    cold_items: float = 0.0
    history: float = 0.0


class ImpressionProfile(Settings):
    """Logged impressions: lists, rows, and by position from 0 how many were shown and how many clicked, of at
    most 1,000 positions, the last of which has all behind it."""

    lists: int
    rows: int
    clicked: int
    by_place: tuple[tuple[int, int], ...]


def span(log: Log) -> Span:
    """Of a log with times."""
    first, last = int(log.times[0]), int(log.times[-1])
    counts = np.histogram(log.times, bins=_PERIODS if last > first else 1)[0]
    return Span(
        first=show(first), last=show(last), days=(last - first) / 86_400, counts=tuple(counts.tolist())
    )


def training_part(log: Log) -> SplitPart:
    """What the towers learn from."""
    return SplitPart(
        name="train",
        requests=0,
        events=len(log),
        users=int(present(log.users, log.n_users).sum()),
        items=int(present(log.items, log.n_items).sum()),
    )


def request_part(name: str, examples: Examples, train: Log) -> SplitPart:
    """Requests and their targets, against what was trained on."""
    users, items = examples.requests.users, examples.targets.values
    return SplitPart(
        name=name,
        requests=len(users),
        events=len(items),
        users=len(distinct(users)),
        items=len(distinct(items)),
        cold_users=float(1 - present(train.users, train.n_users)[users].mean()),
        cold_items=float(1 - present(train.items, train.n_items)[items].mean()),
        history=float(np.median(examples.requests.history.lengths)),
    )


def shown(impressions: Table) -> ImpressionProfile:
    """Clicks by position; a position that no list has counts as never shown."""
    clicked = impressions.array("clicked")
    positions = np.minimum(impressions.array("position"), _POSITIONS - 1)
    n = int(positions.max(initial=-1)) + 1
    sizes, clicks = counted(positions, n), counted(positions[clicked], n)
    return ImpressionProfile(
        lists=impressions.n_lists("request_id"),
        rows=len(impressions),
        clicked=int(clicked.sum()),
        by_place=tuple(zip(sizes.tolist(), clicks.tolist(), strict=True)),
    )
