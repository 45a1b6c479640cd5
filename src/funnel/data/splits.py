"""Splits in time: events that the towers learn from, then requests of the ranker, then of the test.

Three kinds. `time`: two moments cut the log into three windows, the same for all users. `leave_one_out`: the
last event of each user is the test, the one before it the ranker's. `given`: the data say what is test.
Three protocols for the requests of a time window. `window`: one request a user, at its start, whose targets
are all of the user's items in it. `event`: one request an event, just before it. `shown`: one request a
logged list, which is what is ranked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from funnel.data.columnar.columns import Coded
from funnel.data.dataset import Dataset
from funnel.data.events_config import EventsConfig
from funnel.data.histories import Cutoffs, Histories, distinct, pair_keys, seen_kinds
from funnel.data.holdouts import (
    SHORTEST,
    SHORTEST_GIVEN,
    hold_out,
    last_two,
    left_out_requests,
    pair_requests,
    to_find,
)
from funnel.data.shown import shown_requests
from funnel.data.split_config import SplitConfig
from funnel.data.windows import before, event_requests, window_requests, windows
from funnel.errors import ConfigError, DataError
from funnel.types import Bool, EventKinds, Examples, Int64, Log

__all__ = ["EventsConfig", "Split", "SplitConfig", "split"]


@dataclass(frozen=True)
class Split:
    """The parts of a data set, none of which sees what comes after it.

    kind: "time", "leave_one_out" or "given". protocol: "window", "event" or "shown" ("event" where one event
        is left out, "window" where the split is given).
    train: what the towers learn from.
    ranker, test: requests with what happened next. `exclude` is the whole history where seen items are
        excluded, also where the history itself is cut to `history_limit`. Users as in the data set, also
        those who were never there before; `user_features` are empty.
    ranker_statistics, test_statistics: what co-visitation and the like may be fitted on for those requests.
        Where the split is given, the whole of the published training part for the test, so that for both
        windows all of a request's history is in them.
    ranker_known, test_known: events that may be looked at through the time of a request (only strictly
        earlier ones count); the statistics' own where there is no clock.
    notes: how many requests were dropped or left out, and why.
    kinds: the kinds of events, None where events are of one. Logs have those in histories and to be found.
    negatives: events of the kinds that say no, which are in none of the other logs; None where there is no
        such kind.
    ranker_rows, test_rows: int64 [B], the row that says what was known at the moment of each request: of the
        list's first row where the protocol is "shown", else of an event, the one to come; in a window the
        first of the targets. None where the split is given, for its requests have no moment.
    """

    kind: str
    protocol: str
    train: Log
    ranker: Examples
    test: Examples
    ranker_statistics: Log
    test_statistics: Log
    ranker_known: Log
    test_known: Log
    notes: tuple[str, ...] = ()
    kinds: EventKinds | None = None
    negatives: Log | None = None
    ranker_rows: Int64 | None = None
    test_rows: Int64 | None = None

    @property
    def refit(self) -> Log | None:
        """The events that the towers of the test window are trained on, once the number of epochs is known.

        None where that is `train` itself.
        """
        return self.test_statistics if len(self.test_statistics) > len(self.train) else None


def split(
    dataset: Dataset,
    config: SplitConfig,
    seed: int,
    events: EventsConfig | None = None,
    *,
    rows: bool = False,
) -> Split:
    """The data set divided; equal for equal arguments. events: what the kinds of events are for. rows:
    whether the logs say which row each event is.

    Users who have nothing new to find are dropped and counted in the notes. Raises DataError where a part
    is empty, or where the data lacks what the protocol needs (a clock, an order, a `split` column), or has
    a kind of event that `events` does not name; ConfigError for a kind that the data does not have.
    """
    rng, events = np.random.default_rng(seed), events or EventsConfig()
    log = dataset.log
    if rows:
        log = replace(log, rows=np.arange(len(log), dtype=np.int32))
    whole, kept = events.applied(log), events.kept(log)
    if whole.event_kinds is not None:
        seen_kinds(whole.event_kinds, config.exclude_seen)  # raises where it names another
    elif not isinstance(config.exclude_seen, bool):
        raise ConfigError("split.exclude_seen names kinds of events, and events has no column `kind`")
    if config.kind == "time":
        parts = _by_time(dataset, whole, config, rng)
    elif config.kind == "leave_one_out":
        parts = _leave_one_out(dataset, whole, config, rng)
    else:
        parts = _given(dataset, whole, config, rng, kept)
    return parts if kept.all() or parts.protocol == "shown" else _in_table(parts, np.flatnonzero(kept))


def _in_table(parts: Split, rows: Int64) -> Split:
    """The rows of requests as those of the table of events, of which some are left out. rows: the others."""

    def moved(of: Int64 | None) -> Int64 | None:
        return None if of is None else np.where(of < 0, -1, rows[of])

    return replace(parts, ranker_rows=moved(parts.ranker_rows), test_rows=moved(parts.test_rows))


def wanted(log: Log) -> Log:
    """The events that are in histories or to be found; without those that say no."""
    if log.event_kinds is None:
        return log
    return log.of_kinds(log.event_kinds.in_history | log.event_kinds.is_target)


def _negatives(log: Log) -> Log | None:
    """The events that say no; None where no kind does."""
    if log.event_kinds is None or not log.event_kinds.is_negative.any():
        return None
    return log.of_kinds(log.event_kinds.is_negative)


def _by_time(dataset: Dataset, whole: Log, config: SplitConfig, rng: np.random.Generator) -> Split:
    log = wanted(whole)
    if log.clock != "time":
        raise DataError(
            f'{dataset.name} has no times (clock "{log.clock}"): split it by leave_one_out or given'
        )
    ranker, test = windows(log, config.ranker, config.test)
    histories = Histories.of(whole, config.exclude_seen)
    finish = _Finish(config, rng, f"windows from ranker = {config.ranker} and test = {config.test}")

    def cutoffs(start: int, end: int | None) -> Cutoffs:
        if config.protocol == "shown":
            return shown_requests(dataset, histories, start, end)
        of_kind = window_requests if config.protocol == "window" else event_requests
        return of_kind(histories, start, end, bool(config.exclude_seen))

    before_ranker, before_test = (log.first(before(log, start)) for start in (ranker, test))
    return Split(
        kind="time",
        protocol=config.protocol,
        train=before_ranker,
        ranker=finish("ranker", histories, cutoffs(ranker, test)),
        test=finish("test", histories, cutoffs(test, None)),
        ranker_statistics=before_ranker,
        test_statistics=before_test,
        ranker_known=log,
        test_known=log,
        notes=tuple(finish.notes),
        kinds=whole.event_kinds,
        negatives=_negatives(whole),
        ranker_rows=finish.rows["ranker"],
        test_rows=finish.rows["test"],
    )


def _leave_one_out(dataset: Dataset, whole: Log, config: SplitConfig, rng: np.random.Generator) -> Split:
    if whole.clock == "none":
        raise DataError(f"{dataset.name} has no order of events: leave_one_out needs one")
    histories = Histories.of(whole, config.exclude_seen)
    users, before, last = last_two(histories)
    kept = np.ones(len(whole), dtype=np.bool_)
    ends = np.full(whole.n_users, len(whole))
    ends[users] = before
    kept[histories.order[np.arange(len(whole)) >= ends[histories.users]]] = False
    train = wanted(whole.where(kept))
    finish = _Finish(config, rng, f"users with at least {SHORTEST} events, of which there are {len(users)}")
    seen = bool(config.exclude_seen)
    return Split(
        kind="leave_one_out",
        protocol="event",
        train=train,
        ranker=finish("ranker", histories, left_out_requests(histories, users, before, seen)),
        test=finish("test", histories, left_out_requests(histories, users, last, seen)),
        ranker_statistics=train,
        test_statistics=train,
        ranker_known=train,
        test_known=train,
        notes=tuple(finish.notes),
        kinds=whole.event_kinds,
        negatives=_negatives(whole.where(kept)),
        ranker_rows=finish.rows["ranker"],
        test_rows=finish.rows["test"],
    )


def _given(dataset: Dataset, whole: Log, config: SplitConfig, rng: np.random.Generator, kept: Bool) -> Split:
    """kept: the events of the data set that are in the log."""
    if "split" not in dataset.event_table:
        raise DataError(
            f'{dataset.name} has no published split: events needs a column "split" of train and test'
        )
    parts = Coded(dataset.event_table.codes("split"), dataset.event_table.values("split"))
    is_test = np.isin(parts.codes, np.flatnonzero(parts.values == "test"))[kept]
    if is_test.all() or not is_test.any():
        raise DataError(
            f'{dataset.name} publishes a split, but all of it is "{"test" if is_test.all() else "train"}"'
        )
    published, tested = whole.where(~is_test), to_find(whole.where(is_test))
    held, ranker_pairs = hold_out(published, rng)
    test_pairs = distinct(pair_keys(tested.users, tested.items, whole.n_items))
    before = published.where(~held)
    train, time = wanted(before), 0 if whole.clock == "none" else int(published.times.max()) + 1
    finish = _Finish(
        config, rng, f"users with at least {SHORTEST_GIVEN} items in the published training part"
    )

    def examples(name: str, history: Log, taken: Log, pairs: Int64) -> Examples:
        histories = Histories.of(history, config.exclude_seen)
        cutoffs = pair_requests(histories, taken, pairs, time, bool(config.exclude_seen))
        return finish(name, histories, cutoffs)

    return Split(
        kind="given",
        protocol="window",
        train=train,
        ranker=examples("ranker", before, to_find(published.where(held)), ranker_pairs),
        test=examples("test", published, tested, test_pairs),
        ranker_statistics=train,
        test_statistics=wanted(published),
        ranker_known=train,
        test_known=wanted(published),
        notes=tuple(finish.notes),
        kinds=whole.event_kinds,
        negatives=_negatives(published),
    )


@dataclass
class _Finish:
    """Turns `Cutoffs` into `Examples`: requests with a target, at most `max_requests`, histories written
    out. rows: of each part, the `Cutoffs.rows` of its requests.
    """

    config: SplitConfig
    rng: np.random.Generator
    origin: str
    notes: list[str] = field(default_factory=list)
    rows: dict[str, Int64 | None] = field(default_factory=dict)

    def __call__(self, name: str, histories: Histories, cutoffs: Cutoffs) -> Examples:
        config = self.config
        rows = np.flatnonzero(cutoffs.targets.lengths)
        if not len(rows):
            reason = (
                f", for the {len(cutoffs)} that there were had seen all of their items before"
                if len(cutoffs)
                else ""
            )
            raise DataError(f"the {name} part has no requests{reason} ({self.origin})")
        if len(rows) < len(cutoffs):
            self.notes.append(
                f"{name}: {len(cutoffs) - len(rows)} of {len(cutoffs)} requests had nothing new to find"
            )
        if config.max_requests is not None and len(rows) > config.max_requests:
            self.notes.append(f"{name}: {config.max_requests} of {len(rows)} requests, by chance")
            rows = np.sort(self.rng.choice(rows, config.max_requests, replace=False))
        limit = config.history_limit if config.kind == "time" and config.protocol != "window" else None
        kept = cutoffs.take(rows)
        self.rows[name] = kept.rows
        return kept.examples(histories, exclude_seen=bool(config.exclude_seen), limit=limit)
