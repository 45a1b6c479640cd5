"""From what a caller says to a request in row numbers, and the codes of what was missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.bundle.contents import Contents
from funnel.catalogue import moment
from funnel.catalogue.where import Where
from funnel.serving import arguments
from funnel.serving.response import EMPTY_HISTORY, MISSING_CONTEXT, UNKNOWN_ITEMS_IN_HISTORY, UNKNOWN_USER
from funnel.types import Features, Int32, Int64, Ragged, Requests


class Interaction(Protocol):
    """An event of a user."""

    @property
    def item_id(self) -> Any: ...

    @property
    def time(self) -> int | None: ...


#: What a user did since the bundle was built, oldest first.
RecentInteractions: TypeAlias = Sequence[Interaction]


@dataclass(frozen=True)
class Request:
    """What a caller of `Live.recommend` may say, not yet checked; see there."""

    user_id: Any = None
    history: Iterable[Any] | None = None
    user: Mapping[str, Any] | None = None
    where: Where | None = None
    exclude: Iterable[Any] | None = ()
    time: int | None = None
    seen: Any = None
    context: Mapping[str, Any] | None = None


def encode_request(
    contents: Contents, request: Request, recent: RecentInteractions = ()
) -> tuple[Requests, list[str]]:
    """One request, and its reason codes. recent: what the user did, beside what the bundle knows.

    Raises: FunnelError for an argument that cannot be meant; ConfigError when the filter or the user's
    columns name a column that there is not.
    """
    reasons: list[str] = []
    users = contents.users
    row = users.ids.row(arguments.known(request.user_id))
    if row < 0:
        reasons.append(UNKNOWN_USER)
    columns = arguments.user_columns(request.user, users.encoder.specs)
    now = _moment(contents, request.time)
    history, times = _history(contents, request, row, now, reasons, recent)
    moments = np.array([now], dtype=np.int64)
    context = [arguments.context(request.context, contents.context)]
    encoded, numbers = in_context(contents, context, moments)
    allow, (missing,) = allowed(contents, request.where, context)
    reasons += missing
    requests = Requests(
        users=np.array([row], dtype=np.int32),
        times=moments,
        history=history,
        history_times=times,
        exclude=_excluded(contents, request, history.values),
        allow=allow,
        user_features=users.features_of([row], [columns]),
        context=encoded,
        context_numbers=numbers,
    )
    return requests, reasons


def encode_requests(
    contents: Contents,
    user_ids: Sequence[Any],
    where: Where | None,
    time: int | None,
    recent: Sequence[RecentInteractions] = (),
    seen: Any = None,
    context: Any = None,
) -> tuple[Requests, list[list[str]]]:
    """A request a user, and the reason codes of each. context: of all, or a list of that of each.

    Raises: see `encode_request`.
    """
    rows = contents.users.ids.rows([arguments.known(one) for one in user_ids])
    contexts = arguments.contexts(context, contents.context, len(rows))
    requests = of_users(contents, rows, time, recent, seen, contexts)
    allow, missing = allowed(contents, where, contexts)
    reasons = [
        ([UNKNOWN_USER] if row < 0 else []) + ([] if length else [EMPTY_HISTORY]) + codes
        for row, length, codes in zip(rows, requests.history.lengths, missing, strict=True)
    ]
    return replace(requests, allow=allow), reasons


def in_context(
    contents: Contents, contexts: Sequence[Mapping[str, Any]], times: Int64
) -> tuple[Features, Features]:
    """What is known at the moments of requests, encoded, and its numbers as they are. contexts: checked."""
    return ({}, {}) if contents.context is None else contents.context.given(times, contexts)


def filtered(requests: Requests, allow: Allow) -> Requests:
    """The requests with one filter for all. allow: of that filter alone."""
    filter_of = np.zeros(len(requests.users), dtype=np.int32)
    return replace(requests, allow=replace(allow, filter_of=filter_of))


def of_users(
    contents: Contents,
    rows: NDArray[Any],
    time: int | None = None,
    recent: Sequence[RecentInteractions] = (),
    seen: Any = None,
    contexts: Sequence[Mapping[str, Any]] | None = None,
) -> Requests:
    """Requests of users by row, −1 for one never seen, with what the bundle knows of them.

    recent: what each did beside that. time: default one second after the last event that the bundle knows.
    seen: see `Live.recommend`. contexts: what is known at the moment of each, checked; default nothing.
    """
    users, rows = contents.users, np.asarray(rows, dtype=np.int32)
    history, times = users.history.take(rows), users.history_times.take(rows)
    if any(recent):
        lists = [_with(contents, history[i], times[i], some) for i, some in enumerate(recent)]
        history = Ragged.from_lists([items for items, _ in lists])
        times = Ragged.from_lists([at for _, at in lists], np.int64)
    moments = np.full(len(rows), _moment(contents, time), dtype=np.int64)
    context, numbers = in_context(contents, [{}] * len(rows) if contexts is None else contexts, moments)
    return Requests(
        users=rows,
        times=moments,
        history=history,
        history_times=times,
        exclude=history if arguments.seen(seen, bool(contents.exclude_seen)) else None,
        allow=contents.catalogue.living(len(rows)),
        user_features=users.features_of(rows.tolist(), [{}] * len(rows)),
        context=context,
        context_numbers=numbers,
    )


def allowed(
    contents: Contents, where: Where | None, contexts: Sequence[Mapping[str, Any]]
) -> tuple[Allow | None, list[list[str]]]:
    """The items that a filter lets pass for each of a batch, and the codes of what a request does not say.

    None and {} alone are no filter: what else is empty or false is a mistake of the caller, and must not show
    everything.
    """
    n = len(contexts)
    if where is None or (isinstance(where, Mapping) and not where):
        return contents.catalogue.living(n), [[] for _ in contexts]
    names = moment.named(where)
    if not names:
        allow = contents.catalogue.allow(where)
        return replace(allow, filter_of=np.zeros(n, dtype=np.int32)), [[] for _ in contexts]
    moment.check_named(names, [] if contents.context is None else list(contents.context.table.specs))
    values = [{name: arguments.comparable(context.get(name)) for name in names} for context in contexts]
    filter_of, distinct = _distinct(values)
    allow = contents.catalogue.allow(*(moment.resolved(where, one) for one in distinct))
    missing = [[f"{MISSING_CONTEXT}{name}" for name in names if one[name] is None] for one in values]
    return replace(allow, filter_of=filter_of), missing


def _distinct(values: Sequence[dict[str, Any]]) -> tuple[Int32, list[dict[str, Any]]]:
    """Which of the distinct ones each is, and these; one at least."""
    numbers: dict[str, int] = {}
    distinct: list[dict[str, Any]] = []
    of = np.empty(len(values), dtype=np.int32)
    for place, one in enumerate(values):
        number = of[place] = numbers.setdefault(repr(one), len(numbers))
        if number == len(distinct):
            distinct.append(one)
    return of, distinct or [{}]


def _moment(contents: Contents, time: int | None) -> int:
    """The request's time, by default one second after the last event that is known. Raises: DataError."""
    given = arguments.moment(time)
    return contents.statistics.end if given is None else given


def _history(
    contents: Contents, request: Request, row: int, now: int, reasons: list[str], recent: RecentInteractions
) -> tuple[Ragged, Ragged]:
    """The history that was given, without items that are not in the catalogue, or the stored one."""
    if request.history is None:
        items, times = history_of(contents, row, recent)
    else:
        rows = _rows(contents, arguments.ids(request.history, "history"))
        if (rows < 0).any():
            reasons.append(UNKNOWN_ITEMS_IN_HISTORY)
        kept = rows[rows >= 0]
        items = _one_list(kept)
        times = Ragged(np.full(len(kept), now - 1, dtype=np.int64), items.offsets)
    if len(items.values) == 0:
        reasons.append(EMPTY_HISTORY)
    return items, times


def history_of(contents: Contents, row: int, recent: RecentInteractions) -> tuple[Ragged, Ragged]:
    """What a user interacted with, and when: what the bundle knows, then what is more recent.

    row: −1 for a user that the bundle does not know.
    """
    seen: Int32 = np.empty(0, dtype=np.int32)
    at: Int64 = np.empty(0, dtype=np.int64)
    if row >= 0:  # two slices: `Ragged.take` is for many rows
        seen, at = contents.users.history[row], contents.users.history_times[row]
    if recent:
        seen, at = _with(contents, seen, at, recent)
    items = _one_list(seen)
    return items, Ragged(at, items.offsets)


def _with(
    contents: Contents, items: NDArray[Any], times: NDArray[Any], recent: RecentInteractions
) -> tuple[Int32, Int64]:
    """A history and what came since. What the bundle's own data reach to is in it already: that goes by the
    clock, and where there is none by whether the item is there."""
    statistics = (contents.own or contents).statistics
    rows = contents.catalogue.ids.rows([event.item_id for event in recent])
    at = np.array([event.time or 0 for event in recent], dtype=np.int64)
    new = rows >= 0
    new &= at >= statistics.end if statistics.clock == "time" else ~np.isin(rows, items)
    if statistics.clock == "order":
        at = int(times.max(initial=-1)) + 1 + np.arange(len(at))
    return (
        np.concatenate([items, rows[new]]).astype(np.int32),
        np.concatenate([times, at[new]]).astype(np.int64),
    )


def _excluded(contents: Contents, request: Request, history: Int32) -> Ragged:
    """What must not be returned: what was given, and the user's items, where those are excluded."""
    seen = history if arguments.seen(request.seen, bool(contents.exclude_seen)) else history[:0]
    ids = [] if request.exclude is None else arguments.ids(request.exclude, "exclude")
    if not ids:
        return _one_list(seen)
    rows = _rows(contents, ids)
    return _one_list(np.concatenate([rows[rows >= 0], seen]).astype(np.int32))


def _one_list(values: NDArray[Any]) -> Ragged:
    return Ragged(values, np.array([0, len(values)], dtype=np.int64))


def _rows(contents: Contents, ids: Sequence[Any]) -> Int32:
    """Item ids as rows, −1 where unknown."""
    return np.array([contents.catalogue.ids.row(arguments.known(one)) for one in ids], dtype=np.int32)
