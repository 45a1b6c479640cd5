"""From what a caller says to a request in row numbers, and the codes of what was missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.answer import EMPTY_HISTORY, UNKNOWN_ITEMS_IN_HISTORY, UNKNOWN_USER
from funnel.bundle.contents import Contents
from funnel.bundle.where import Where
from funnel.errors import ConfigError
from funnel.types import Int32, Ragged, Requests


@dataclass(frozen=True)
class Question:
    """What a caller of `Live.recommend` may say; see there."""

    user_id: Any = None
    history: Sequence[Any] | None = None
    user: Mapping[str, Any] = field(default_factory=dict)
    where: Where | None = None
    exclude: Sequence[Any] = ()
    time: int | None = None


def ask(contents: Contents, question: Question) -> tuple[Requests, list[str]]:
    """One request, and its reason codes.

    Raises: ConfigError when the filter or the user's columns name a column that there is not.
    """
    reasons: list[str] = []
    users = contents.users
    row = users.ids.row(question.user_id)
    if row < 0:
        reasons.append(UNKNOWN_USER)
    _check_columns(question.user, list(users.encoder.specs))
    now = contents.statistics.latest + 1 if question.time is None else int(question.time)
    history, times = _history(contents, question, row, now, reasons)
    requests = Requests(
        users=np.array([row], dtype=np.int32),
        times=np.array([now], dtype=np.int64),
        history=history,
        history_times=times,
        exclude=_excluded(contents, question.exclude, history.values),
        allow=contents.catalogue.allow(question.where) if question.where else None,
        user_features=users.features_of([row], [question.user]),
    )
    return requests, reasons


def ask_many(
    contents: Contents, user_ids: Sequence[Any], where: Where | None, time: int | None
) -> tuple[Requests, list[list[str]]]:
    """A request a user, and the reason codes of each. Raises: see `ask`."""
    rows = contents.users.ids.rows(user_ids)
    requests = of_users(contents, rows, time)
    if where:
        filter_of = np.zeros(len(rows), dtype=np.int32)
        requests = replace(requests, allow=replace(contents.catalogue.allow(where), filter_of=filter_of))
    reasons = [
        ([UNKNOWN_USER] if row < 0 else []) + ([] if length else [EMPTY_HISTORY])
        for row, length in zip(rows, requests.history.lengths, strict=True)
    ]
    return requests, reasons


def of_users(contents: Contents, rows: NDArray[Any], time: int | None = None) -> Requests:
    """Requests of users by row, −1 for one never seen, with what the bundle knows of them.

    time: default one second after the last event that the bundle knows.
    """
    users, rows = contents.users, np.asarray(rows, dtype=np.int32)
    history = users.history.take(rows)
    return Requests(
        users=rows,
        times=np.full(len(rows), contents.statistics.latest + 1 if time is None else time, dtype=np.int64),
        history=history,
        history_times=users.history_times.take(rows),
        exclude=history if contents.exclude_seen else None,
        user_features=users.features_of(rows.tolist(), [{}] * len(rows)),
    )


def _history(
    contents: Contents, question: Question, row: int, now: int, reasons: list[str]
) -> tuple[Ragged, Ragged]:
    """The history that was given, without items that are not in the catalogue, or the stored one."""
    if question.history is None:
        one = np.array([row])
        items, times = contents.users.history.take(one), contents.users.history_times.take(one)
    else:
        rows = _rows(contents, question.history)
        if (rows < 0).any():
            reasons.append(UNKNOWN_ITEMS_IN_HISTORY)
        kept = rows[rows >= 0]
        items = Ragged.from_lengths(kept, np.array([len(kept)]))
        times = Ragged(np.full(len(kept), now - 1, dtype=np.int64), items.offsets)
    if len(items.values) == 0:
        reasons.append(EMPTY_HISTORY)
    return items, times


def _excluded(contents: Contents, given: Sequence[Any], met: Int32) -> Ragged:
    """What must not be returned: what was given, and what the user met where that is excluded."""
    rows = _rows(contents, given)
    barred = np.concatenate([rows[rows >= 0], met if contents.exclude_seen else met[:0]]).astype(np.int32)
    return Ragged.from_lengths(barred, np.array([len(barred)]))


def _rows(contents: Contents, ids: Sequence[Any]) -> Int32:
    """Item ids as rows, −1 where unknown."""
    return np.array([contents.catalogue.ids.row(one) for one in ids], dtype=np.int32)


def _check_columns(user: Mapping[str, Any], known: list[str]) -> None:
    unknown = set(user) - set(known)
    if unknown:
        raise ConfigError(
            f"user columns {sorted(unknown)} are unknown; there are: {', '.join(known) or 'none'}"
        )
