"""From what a caller says to a request in row numbers, and the codes of what was missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.bundle.contents import Contents
from funnel.bundle.standing_filter import allowed_by, effective
from funnel.catalogue import moment
from funnel.catalogue.where import Where
from funnel.compiling import frozen
from funnel.serving import arguments
from funnel.serving.histories import (
    RecentInteractions,
    UserEvents,
    events_of,
    given_events,
    history,
    one_list,
    refused,
    seen_items,
)
from funnel.serving.response import EMPTY_HISTORY, MISSING_CONTEXT, UNKNOWN_ITEMS_IN_HISTORY, UNKNOWN_USER
from funnel.types import Features, Int32, Int64, Ragged, Requests


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
    contents: Contents, request: Request, recent: RecentInteractions = (), seeds: Int64 | None = None
) -> tuple[Requests, list[str]]:
    """One request, and its reason codes. recent: what the user did, beside what the bundle knows. seeds: by
    which its list is drawn, see `Requests`.

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
    events = _events(contents, request, row, now, reasons, recent)
    read, no = history(contents, events), refused(contents, events)
    if not len(read.items):
        reasons.append(EMPTY_HISTORY)
    moments = np.array([now], dtype=np.int64)
    context = [arguments.context(request.context, contents.context)]
    encoded, numbers = in_context(contents, context, moments)
    allow, (missing,) = allowed(contents, request.where, context)
    reasons += missing
    items, seen = one_list(read.items), seen_items(contents, events, request.seen)
    requests = Requests(
        users=np.array([row], dtype=np.int32),
        times=moments,
        history=items,
        history_times=Ragged(frozen(read.times), items.offsets),
        exclude=_excluded(contents, request, items if seen is read.items else one_list(seen)),
        allow=allow,
        user_features=users.features_of([row], [columns]),
        context=encoded,
        context_numbers=numbers,
        history_kinds=None if read.kinds is None else Ragged(frozen(read.kinds), items.offsets),
        negatives=None if no is None else one_list(no),
        seeds=seeds,
    )
    return requests, reasons


def _events(
    contents: Contents, request: Request, row: int, now: int, reasons: list[str], recent: RecentInteractions
) -> UserEvents:
    """The history that was given, without items that are not in the catalogue, or all that the user did."""
    if request.history is None:
        return events_of(contents, row, recent)
    events, unknown = given_events(contents, request.history, now)
    if unknown:
        reasons.append(UNKNOWN_ITEMS_IN_HISTORY)
    return events


def encode_requests(
    contents: Contents,
    user_ids: Sequence[Any],
    where: Where | None,
    time: int | None,
    recent: Sequence[RecentInteractions] = (),
    seen: Any = None,
    context: Any = None,
    seeds: Int64 | None = None,
) -> tuple[Requests, list[list[str]]]:
    """A request a user, and the reason codes of each. context: of all, or a list of that of each. seeds: by
    which the lists are drawn.

    Raises: see `encode_request`.
    """
    rows = contents.users.ids.rows([arguments.known(user_id) for user_id in user_ids])
    contexts = arguments.contexts(context, contents.context, len(rows))
    allow, missing = allowed(contents, where, contexts)
    requests = _of_users(contents, rows, time, recent, seen, contexts, allow, seeds)
    reasons = [
        ([UNKNOWN_USER] if row < 0 else []) + ([] if length else [EMPTY_HISTORY]) + codes
        for row, length, codes in zip(rows, requests.history.lengths, missing, strict=True)
    ]
    return requests, reasons


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
    known = [{}] * len(rows) if contexts is None else contexts
    return _of_users(contents, rows, time, recent, seen, known, allowed(contents, None, known)[0])


def _of_users(
    contents: Contents,
    rows: NDArray[Any],
    time: int | None,
    recent: Sequence[RecentInteractions],
    seen: Any,
    contexts: Sequence[Mapping[str, Any]],
    allow: Allow | None,
    seeds: Int64 | None = None,
) -> Requests:
    """The same of users who may be given what passes `allow`."""
    users, rows = contents.users, np.asarray(rows, dtype=np.int32)
    moments = np.full(len(rows), _moment(contents, time), dtype=np.int64)
    context, numbers = in_context(contents, contexts, moments)
    read, times, kinds, exclude, negatives = _histories(contents, rows, recent, seen)
    return Requests(
        users=rows,
        times=moments,
        history=read,
        history_times=times,
        exclude=exclude,
        allow=allow,
        user_features=users.features_of(rows.tolist(), [{}] * len(rows)),
        context=context,
        context_numbers=numbers,
        history_kinds=kinds,
        negatives=negatives,
        seeds=seeds,
    )


def _histories(
    contents: Contents, rows: Int32, recent: Sequence[RecentInteractions], seen: Any
) -> tuple[Ragged, Ragged, Ragged | None, Ragged | None, Ragged | None]:
    """Items, times and kinds of the histories of users, what is excluded, and what they said no to."""
    users = contents.users
    if contents.kinds is None and not any(recent):
        read, excluded = users.history.take(rows), arguments.seen(seen, contents.exclude_seen, None)
        return read, users.history_times.take(rows), None, read if excluded else None, None
    since = recent or [()] * len(rows)
    every = [events_of(contents, row, some) for row, some in zip(rows.tolist(), since, strict=True)]
    kept = [history(contents, events) for events in every]
    items = Ragged.from_lists([events.items for events in kept])
    times = Ragged.from_lists([events.times for events in kept], np.int64)
    kinds = None
    if contents.kinds is not None:
        kinds = Ragged.from_lists([() if e.kinds is None else e.kinds for e in kept], np.int8)
    if arguments.seen(seen, contents.exclude_seen, contents.kinds) is False:
        return items, times, kinds, None, _refused(contents, every)
    exclude = Ragged.from_lists([seen_items(contents, events, seen) for events in every])
    return items, times, kinds, exclude, _refused(contents, every)


def _refused(contents: Contents, every: Sequence[UserEvents]) -> Ragged | None:
    if contents.kinds is None or not contents.kinds.is_negative.any():
        return None
    items = (refused(contents, events) for events in every)
    return Ragged.from_lists([() if some is None else some for some in items])


def allowed(
    contents: Contents, where: Where | None, contexts: Sequence[Mapping[str, Any]]
) -> tuple[Allow | None, list[list[str]]]:
    """The items that a filter, and the one that always holds, let pass for each of a batch, and the codes of
    what a request does not say.

    None and {} alone are no filter: what else is empty or false is a mistake of the caller, and must not show
    everything.
    """
    n, where = len(contexts), effective(contents, where)
    if where is None or (isinstance(where, Mapping) and not where):
        return contents.catalogue.living(n), [[] for _ in contexts]
    names = moment.named(where)
    if names:
        moment.check_named(names, [] if contents.context is None else list(contents.context.table.specs))
    values = [{name: arguments.comparable(context.get(name)) for name in names} for context in contexts]
    missing = [[f"{MISSING_CONTEXT}{name}" for name in names if value[name] is None] for value in values]
    return allowed_by(contents, where, values), missing


def _moment(contents: Contents, time: int | None) -> int:
    """The request's time, by default one second after the last event that is known. Raises: DataError."""
    given = arguments.moment(time)
    return contents.statistics.end if given is None else given


def _excluded(contents: Contents, request: Request, seen: Ragged) -> Ragged:
    """What must not be returned: what was given, and the user's items, where those are excluded."""
    nothing = request.exclude is None or (isinstance(request.exclude, tuple) and not request.exclude)
    ids = [] if nothing else arguments.ids(request.exclude, "exclude")
    if not ids:
        return seen
    rows = _rows(contents, ids)
    return one_list(np.concatenate([rows[rows >= 0], seen.values]).astype(np.int32))


def _rows(contents: Contents, ids: Sequence[Any]) -> Int32:
    """Item ids as rows, −1 where unknown."""
    return np.array([contents.catalogue.ids.row(arguments.known(item)) for item in ids], dtype=np.int32)
