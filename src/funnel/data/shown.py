"""Lists that were shown, as requests with targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.dataset import Dataset
from funnel.data.events_config import EventsConfig
from funnel.data.histories import Cutoffs, Histories, pair_keys
from funnel.data.split_config import SplitConfig
from funnel.data.windows import windows
from funnel.errors import DataError
from funnel.types import Bool, Examples, Float32, Int32, Int64, Ragged, Shown

#: A click that was logged so many seconds before its list, at most, is still this list's.
EARLY = 300

#: And what happened so many seconds after it, at most, comes of it.
LATE = 86_400

#: What a click is called where events have kinds.
CLICK = "click"

#: What stands before the name of an outcome among the columns of shown items.
OUTCOME = "outcome."

_FAR = np.int64(1) << 61  # seconds: no two moments are so far apart


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
    showed its item to its user, a day before it at most. None where the data has no impressions, no window
    (another kind of split), or no list in it.
    """
    if dataset.impressions is None or config.kind != "time" or dataset.clock != "time":
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
) -> Cutoffs:
    """One request a list of the window with a click, after what the user did strictly before.

    The clicked items are the targets. An item that a list shows twice counts once, at its first
    position, clicked if either was. A click that was logged before its list, by EARLY seconds at most, is
    what the list is asked for: the list's time is then the click's. end: None for a window without one.
    outcomes: the codes of kinds of events beside clicks that may come of a list; where they are given, lists
    without a click are requests too, and columns say what came of each item. Raises DataError where the data
    has no impressions.
    """
    if dataset.impressions is None:
        raise DataError(
            f'{dataset.name} has no impressions: the protocol "shown" needs the lists that were shown'
        )
    frame = _once(_about(dataset.impressions, start, end))
    number, requests = pd.factorize(frame["request_id"])
    chosen = np.bincount(number, frame["clicked"], len(requests)) > 0
    chosen |= outcomes is not None
    times = _times(dataset, histories, frame, number, len(requests))
    inside = chosen & (times >= start) & (True if end is None else times < end)
    rows = np.flatnonzero(inside[number])
    rows = rows[np.lexsort((frame["position"].to_numpy()[rows], number[rows], times[number[rows]]))]
    came = {} if outcomes is None else _outcomes(dataset, histories, frame, times[number], outcomes)
    came = {name: of[rows] for name, of in came.items()}
    original = frame.index.to_numpy()[rows]
    frame, number = frame.iloc[rows], number[rows]
    _, first, lengths = np.unique(number, return_index=True, return_counts=True)
    order = np.argsort(first)
    first, lengths = first[order], lengths[order]
    items = dataset.item_vocabulary.rows(frame["item_id"])
    columns = {name: frame[name].to_numpy(np.float32, na_value=np.nan) for name in shown_columns(dataset)}
    columns |= came
    users = dataset.user_vocabulary.rows(frame["user_id"].iloc[first])
    hit = frame["clicked"].to_numpy(np.bool_)
    list_of = np.repeat(np.arange(len(lengths)), lengths)
    return Cutoffs(
        users=users,
        ends=histories.ends(users, times[number[first]]),
        times=times[number[first]],
        targets=Ragged.from_lengths(items[hit], np.bincount(list_of[hit], minlength=len(lengths))),
        shown=Shown(Ragged.from_lengths(items, lengths), columns),
        rows=original[first],
    )


def _about(impressions: pd.DataFrame, start: int, end: int | None) -> pd.DataFrame:
    """The rows that matter to a window: those in it, those whose click may move them into it, and those that
    may take an event from a list in it. Impressions are sorted by time, so that nothing else is looked at."""
    times = impressions["time"].to_numpy()
    first = np.searchsorted(times, start)
    return impressions.iloc[first : None if end is None else np.searchsorted(times, end + LATE, side="right")]


def _outcomes(
    dataset: Dataset, histories: Histories, frame: pd.DataFrame, times: Int64, codes: Mapping[str, int]
) -> dict[str, Float32]:
    """What came of each row of the impressions, 1 or 0, as columns. times: [N], of each row's list."""
    columns = {OUTCOME + CLICK: frame["clicked"].to_numpy(np.float32)}
    if not codes:
        return columns
    items, users = (
        dataset.item_vocabulary.rows(frame["item_id"]),
        dataset.user_vocabulary.rows(frame["user_id"]),
    )
    pairs = pair_keys(users, items, len(dataset.items))
    pairs[(users < 0) | (items < 0)] = -1
    assert histories.kinds is not None
    for name, code in codes.items():
        of = histories.kinds == code
        taken = pair_keys(histories.users[of], histories.items[of], len(dataset.items))
        columns[OUTCOME + name] = _attributed(pairs, times, taken, histories.times[of]).astype(np.float32)
    return columns


def _attributed(pairs: Int64, times: Int64, taken: Int64, at: Int64) -> Bool:
    """Which rows an event comes of: the last of its pair at or before it, by LATE seconds at most.

    pairs, times: of the rows, [N]. taken, at: of the events. Returns bool [N].
    """
    known, of = np.unique(pairs, return_inverse=True)
    pair = np.minimum(np.searchsorted(known, taken), len(known) - 1)
    same = known[pair] == taken
    pair, at = pair[same], at[same]
    moments, number = np.unique(np.concatenate([times, at]), return_inverse=True)
    keys = np.concatenate([of, pair]) * len(moments) + number
    order = np.argsort(keys[: len(pairs)], kind="stable")
    last = np.searchsorted(keys[order], keys[len(pairs) :], side="right") - 1
    row = order[np.maximum(last, 0)]
    comes = (last >= 0) & (of[row] == pair) & (at - times[row] <= LATE)
    result = np.zeros(len(pairs), dtype=np.bool_)
    result[row[comes]] = True
    return result


def _times(dataset: Dataset, histories: Histories, frame: pd.DataFrame, number: Int64, n_lists: int) -> Int64:
    """The moment of each list: that of its rows, or of a click of its that was logged before it.

    With the rows' own time such a click would be in the history that it is predicted from. A click is a later
    list's business where the same user has another event with the item within LATE seconds after it.
    """
    times = np.zeros(n_lists, dtype=np.int64)
    times[number] = frame["time"]
    hits = np.flatnonzero(frame["clicked"])
    users = dataset.user_vocabulary.rows(frame["user_id"].iloc[hits])
    items, at = dataset.item_vocabulary.rows(frame["item_id"].iloc[hits]), times[number[hits]]
    known = (users >= 0) & (items >= 0)
    before, after = _nearest(histories, users[known], items[known], at[known], len(dataset.items))
    early = (at[known] - before <= EARLY) & (after - at[known] > LATE)
    np.minimum.at(times, number[hits[known][early]], before[early])
    return times


def _nearest(
    histories: Histories, users: Int32, items: Int32, times: Int64, n_items: int
) -> tuple[Int64, Int64]:
    """The moments of the same user's last event with the same item before each time, and of the first at it
    or later; far away where there is none."""
    wanted, of = np.unique(pair_keys(users, items, n_items), return_inverse=True)
    pairs = pair_keys(histories.users, histories.items, n_items)
    pair = np.minimum(np.searchsorted(wanted, pairs), max(0, len(wanted) - 1))
    same = wanted[pair] == pairs if len(wanted) else np.zeros(len(pairs), dtype=np.bool_)
    moments, number = np.unique(np.concatenate([histories.times[same], times]), return_inverse=True)
    keys = np.concatenate([pair[same], of]) * len(moments) + number  # by pair, then by time
    logged = np.append(np.sort(keys[: int(same.sum())]), -1)  # the last stands for none, on either side
    at = np.searchsorted(logged[:-1], keys[int(same.sum()) :])
    before, after = logged[at - 1], logged[at]
    return (
        np.where(before // len(moments) == of, moments[before % len(moments)], -_FAR),
        np.where(after // len(moments) == of, moments[after % len(moments)], _FAR),
    )


def _once(impressions: pd.DataFrame) -> pd.DataFrame:
    """Each item of a list once."""
    pair = ["request_id", "item_id"]
    if not impressions.duplicated(pair).any():
        return impressions
    clicked = impressions.groupby(pair)["clicked"].transform("any")
    ordered = impressions.assign(clicked=clicked).sort_values("position", kind="stable")
    return ordered.drop_duplicates(pair).sort_index()
