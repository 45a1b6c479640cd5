"""Lists that were shown, as requests with targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.attribution import CLICK, EARLY, FAR, ImpressionRows, list_times, outcome_columns
from funnel.data.columnar.columns import Plain, RunEncoded
from funnel.data.columnar.table import Table
from funnel.data.dataset import Dataset
from funnel.data.events_config import EventsConfig
from funnel.data.histories import Cutoffs, Histories, pair_keys
from funnel.data.split_config import SplitConfig
from funnel.data.windows import windows
from funnel.errors import DataError
from funnel.types import Bool, Examples, Int64, Ragged, Shown


def shown_columns(dataset: Dataset) -> tuple[str, ...]:
    """What is known of a shown item: its position, and the declared columns of numbers and truth values."""
    named = (c.name for c in dataset.schema.impressions if c.kind in ("number", "boolean") and not c.context)
    return ("position", *named)


@dataclass(frozen=True, slots=True)
class LoggedLists:
    """Lists that were shown, as requests that choose from them; the clicked items are the targets, and a list
    without a click has none. The columns of their items are `position` and, 1 or 0, what came of each:
    `outcome.click`, and `outcome.purchase` and so on for the kinds of events that are to be found.

    weights: float64 [B], how many lists of the log each stands for. rows: int64 [B], the row of each list's
    first item in the table of impressions.
    """

    examples: Examples
    weights: NDArray[np.float64]
    rows: Int64

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, rows: Int64) -> LoggedLists:
        """The lists at these rows."""
        return LoggedLists(self.examples.take(rows), self.weights[rows], self.rows[rows])


def logged_lists(
    dataset: Dataset,
    config: SplitConfig,
    part: Literal["ranker", "test"],
    most: int,
    seed: int,
    events: EventsConfig | None = None,
    *,
    alike: bool = False,
) -> LoggedLists | None:
    """The lists that were shown in a window of a split by time, with and without a click.

    At most `most` of either are drawn by the seed, and weighted so that they stand for all; alike: at most
    2 · `most` of all together. events: what the kinds of events are for. An event comes of the last list that
    showed its item to its user, a day before it at most. What comes of a list after its window ends, or the
    log, is not known: a list of the last day counts with what came of it so far, alike where it is learned
    from and where it is judged by. None where the data has no impressions, no window (another kind of split),
    or no list in it.
    """
    if dataset.impression_table is None or config.kind != "time" or dataset.clock != "time":
        return None
    whole = (events or EventsConfig()).applied(dataset.log)
    kinds = whole.event_kinds
    read = whole if kinds is None else whole.of_kinds(kinds.in_history | kinds.is_target)
    ranker, test = windows(read, config.ranker, config.test)
    start, end = (ranker, test) if part == "ranker" else (test, None)
    histories = Histories.of(whole, config.exclude_seen)
    further = [] if kinds is None else [name for name in kinds.target_names if name != CLICK]
    codes = {name: kinds.code(name) for name in further} if kinds is not None else {}
    lists = shown_requests(dataset, histories, start, end, outcomes=codes)
    clicked = lists.targets.lengths > 0
    rng = np.random.default_rng(seed)
    rows, weights = _drawn(np.ones_like(clicked), 2 * most, rng) if alike else _drawn(clicked, most, rng)
    if not len(rows):
        return None
    limit = None if config.protocol == "window" else config.history_limit
    lists = lists.take(rows)
    assert lists.rows is not None
    examples = lists.examples(histories, exclude_seen=bool(config.exclude_seen), limit=limit)
    return LoggedLists(examples, weights, lists.rows)


def _drawn(clicked: Bool, most: int, rng: np.random.Generator) -> tuple[Int64, NDArray[np.float64]]:
    """At most so many lists with a click and as many without, in their order, and what each stands for."""
    weights = np.zeros(len(clicked))
    for kind in (np.flatnonzero(clicked), np.flatnonzero(~clicked)):
        some = kind if len(kind) <= most else rng.choice(kind, most, replace=False)
        weights[some] = len(kind) / max(1, len(some))
    rows = np.flatnonzero(weights)
    return rows, weights[rows]


def shown_requests(
    dataset: Dataset,
    histories: Histories,
    start: int,
    end: int | None,
    *,
    outcomes: Mapping[str, int] | None = None,
    within: slice | None = None,
) -> Cutoffs:
    """One request a list of the window with a click, after what the user did strictly before.

    The clicked items are the targets. An item that a list shows twice counts once, at its first
    position, clicked if either was. A click that was logged before its list, by EARLY seconds at most, is
    what the list is asked for: the list's time is then the click's. end: None for a window without one; what
    happened from then on is not looked at.
    outcomes: the codes of kinds of events beside clicks that may come of a list; where they are given, lists
    without a click are requests too, and columns say what came of each item. within: rows of the impressions
    beside which there are no others; None for all. Raises DataError where the data has no impressions.
    """
    if dataset.impression_table is None:
        raise DataError(
            f'{dataset.name} has no impressions: the protocol "shown" needs the lists that were shown'
        )
    shown = _once(_shown_about(dataset, dataset.impression_table, start, end, within))
    chosen = np.bincount(shown.number, shown.clicked, shown.n_lists) > 0
    chosen |= outcomes is not None
    known = histories.times < (FAR if end is None else end)
    n_items = len(dataset.items)
    times = list_times(histories, known, shown, n_items)
    inside = chosen & (times >= start) & (True if end is None else times < end)
    rows = np.flatnonzero(inside[shown.number])
    rows = rows[np.lexsort((shown.positions[rows], shown.number[rows], times[shown.number[rows]]))]
    came = {} if outcomes is None else outcome_columns(histories, known, shown, times, n_items, outcomes)
    came = {name: of[rows] for name, of in came.items()}
    number = shown.number[rows]
    _, first, lengths = np.unique(number, return_index=True, return_counts=True)
    order = np.argsort(first)
    first, lengths = first[order], lengths[order]
    frame = dataset.impression_table.frame(shown.rows[rows], shown_columns(dataset))
    columns = {name: frame[name].to_numpy(np.float32, na_value=np.nan) for name in frame.columns}
    items, hit = shown.items[rows], shown.clicked[rows]
    list_of = np.repeat(np.arange(len(lengths)), lengths)
    users, at = shown.users[rows[first]], times[number[first]]
    return Cutoffs(
        users=users,
        ends=histories.ends(users, at),
        times=at,
        targets=Ragged.from_lengths(items[hit], np.bincount(list_of[hit], minlength=len(lengths))),
        shown=Shown(Ragged.from_lengths(items, lengths), columns | came),
        rows=shown.rows[rows[first]],
    )


def _shown_about(
    dataset: Dataset, table: Table, start: int, end: int | None, within: slice | None
) -> ImpressionRows:
    """The rows that matter to a window: those in it, and those whose click may move them into it. Impressions
    are sorted by time, so that nothing else is looked at."""
    first = first_row_at(table, start)
    last = len(table) if end is None else max(first, first_row_at(table, end + EARLY, after=True))
    rows = slice(first, last)
    if within is not None:
        rows = slice(max(first, within.start), max(first, within.start, min(last, within.stop)))
    number, n_lists = table.lists("request_id", rows)
    return ImpressionRows(
        rows=np.arange(rows.start, rows.stop),
        number=number,
        n_lists=n_lists,
        users=dataset.users_of(table, rows),
        items=dataset.items_of(table, rows),
        times=table.array("time", rows),
        positions=table.array("position", rows),
        clicked=table.array("clicked", rows),
    )


def first_row_at(table: Table, time: int, *, after: bool = False) -> int:
    """The first row of a table in the order of time that is at a time or later; or after it."""
    side: Literal["left", "right"] = "right" if after else "left"
    column = table.columns["time"]
    if isinstance(column, RunEncoded) and isinstance(column.inner, Plain):
        return int(column.offsets[np.searchsorted(column.inner.values, time, side=side)])
    return int(np.searchsorted(table.array("time"), time, side=side))


def _once(shown: ImpressionRows) -> ImpressionRows:
    """Each item of a list once: at its first position, clicked if either was."""
    pairs = pd.Series(
        pair_keys(shown.number.astype(np.int64), shown.items, int(shown.items.max(initial=0)) + 2)
    )
    if not pairs.duplicated().any():
        return shown
    clicked = pd.Series(shown.clicked).groupby(pairs).transform("any").to_numpy(np.bool_)
    ordered = np.argsort(shown.positions, kind="stable")
    kept = np.sort(ordered[~pairs.iloc[ordered].duplicated().to_numpy()])
    return replace(shown, clicked=clicked).take(kept)
