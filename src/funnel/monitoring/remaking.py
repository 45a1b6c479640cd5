"""Answers that were logged with all that makes them again, made again: the same bits, or something is
wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Step
from funnel.errors import DataError, FunnelError
from funnel.impressions.record import Impression
from funnel.monitoring.counting import Remade, chance_of, state_of
from funnel.monitoring.measures import in_front, in_front_of_ranker
from funnel.monitoring.reference import SecondOverlay
from funnel.serving import arguments
from funnel.serving.request import allowed, in_context
from funnel.serving.response import SKIPPED
from funnel.types import EventKinds, Float32, Int32, Occasion, Ragged, Requests

#: Of times, in seconds.
_LATEST = np.iinfo(np.int64).max


def remake(reference: SecondOverlay, impressions: Iterable[Impression]) -> list[Remade]:
    """Each that can be: of the reference's version, from `recommend`, with a request, and no stage left out.

    Answers are taken in the order of their state, which the reference follows.
    Raises: BundleError where the log cannot be read.
    """
    mine = [impression for impression in impressions if _can_be(impression, reference.version)]
    mine.sort(key=lambda impression: state_of(impression)[1])
    return [remade for impression in mine if (remade := _remade(reference, impression)) is not None]


def _can_be(impression: Impression, version: str) -> bool:
    left_out = any(code.startswith(SKIPPED) for code in impression.reasons)
    return (
        impression.call == "recommend"
        and impression.version == version
        and bool(impression.request)
        and not left_out
    )


def _remade(reference: SecondOverlay, impression: Impression) -> Remade | None:
    """None for a request that cannot be meant any more, such as a column that went."""
    items_at, events_at = state_of(impression)
    exact = reference.follow_items(items_at) is not None and reference.follow_events(events_at)
    exact = exact and not impression.arms  # whose stages may be others
    contents = reference.loaded.contents
    try:
        requests = requests_of(contents, impression)
    except (FunnelError, KeyError, TypeError, ValueError):
        return None
    steps = reference.loaded.funnel(impression.k).trace(requests)
    length = len(requests.history.values)
    return Remade(
        impression=impression,
        features=_features(contents, requests, steps, impression.id),
        silent=_silent(steps),
        length=length,
        age=impression.time - float(requests.history_times.values[-1]) if length else float("nan"),
        equal=_same(contents, steps, impression) if exact else None,
    )


def requests_of(contents: Contents, impression: Impression, source: Contents | None = None) -> Requests:
    """The request of a logged answer, in the rows of these contents. source: of the bundle that gave it, by
    whose codes the log names kinds of events; default these.

    Raises: FunnelError, or what a damaged record brings; DataError where times or kinds are not those of its
    history's items.
    """
    whole: Mapping[str, Any] = impression.request or {}
    ids, users = contents.catalogue.ids, contents.users
    row, times = users.ids.row(arguments.known(impression.user)), np.array([whole["time"]], dtype=np.int64)
    context = [arguments.context(impression.context or None, contents.context)]
    encoded, numbers = in_context(contents, context, times)
    allow, _ = allowed(contents, impression.where, context)
    history = ids.rows(whole["history"])
    columns = arguments.user_columns(whole.get("user"), users.encoder.specs)
    return Requests(
        users=np.array([row], dtype=np.int32),
        times=times,
        history=Ragged.from_lists([history]),
        history_times=_beside(history, whole["history_times"], np.int64, -_LATEST, _LATEST),
        exclude=_list(ids, whole.get("exclude")),
        allow=allow,
        user_features=users.features_of([row], [columns]),
        context=encoded,
        context_numbers=numbers,
        history_kinds=_kinds(contents.kinds, (source or contents).kinds, history, whole.get("history_kinds")),
        negatives=_list(ids, whole.get("negatives")),
        occasion=_occasion(ids, whole.get("occasion")),
    )


def _kinds(
    ours: EventKinds | None, theirs: EventKinds | None, history: Int32, given: Sequence[Any] | None
) -> Ragged | None:
    """The kinds of a logged history in our codes."""
    if given is None:
        return None
    codes = _beside(history, given, np.int8, -1, (0 if theirs is None else len(theirs.names)) - 1)
    if ours is None or theirs is None:
        return None
    return Ragged(ours.codes_of(theirs)[codes.values], codes.offsets)


def _beside(history: Int32, given: Sequence[Any], dtype: Any, least: int, most: int) -> Ragged:
    """A number for each item of a logged history, as a list. Raises: DataError where one is missing, or is no
    whole number from least to most: compiled code reads them unchecked."""
    if len(given) != len(history) or not all(isinstance(n, int) and least <= n <= most for n in given):
        raise DataError(
            f"a logged history has {len(history)} items, and beside them not a whole number from {least} to "
            f"{most} each: {str(given)[:60]}"
        )
    return Ragged.from_lists([np.array(given, dtype=dtype)], dtype)


def _list(ids: Any, given: Sequence[Any] | None) -> Ragged | None:
    return None if given is None else Ragged.from_lists([ids.rows(given)])


def _occasion(ids: Any, given: Mapping[str, Any] | None) -> Occasion | None:
    if given is None:
        return None
    return Occasion(
        np.array([given["now"]], dtype=np.int64),
        np.array([given["key"]], dtype=np.int64),
        Ragged.from_lists([ids.rows(given["impressions"])]),
        Ragged.from_lists([np.array(given["impression_times"], dtype=np.int64)], np.int64),
        np.array([given["known"]]),
    )


def _same(contents: Contents, steps: list[Step], impression: Impression) -> bool:
    """Whether candidates and scores are the same, and what was shown where nothing was drawn by chance."""
    front = in_front(contents, steps)
    n = len(impression.items)
    if impression.policy is None and _ids(contents, steps[-1].candidates.items[0]) != list(
        impression.shown_items
    ):
        return False
    most = min(n, int(front.filled[0].sum())) if n else 0
    rows = front.items[0, :most]
    ours, theirs = front.scores[0, :most], impression.scores[:most]
    alike = [a == b for a, b in zip(_ids(contents, rows), impression.items, strict=False)]
    first = alike.index(False) if False in alike else most  # what was shown from further down stands behind
    further = set(range(first, n)) <= set(impression.shown)
    return further and bool((_bits(ours[:first]) == _bits(theirs[:first])).all())


def _ids(contents: Contents, rows: Int32) -> list[Any]:
    return list(contents.catalogue.ids.take(rows[rows >= 0]))


def _bits(scores: Float32) -> Any:
    return np.ascontiguousarray(scores, dtype=np.float32).view(np.int32)


def _silent(steps: list[Step]) -> dict[str, bool]:
    """By source whether it found nothing."""
    candidates = steps[0].candidates
    ranks = candidates.source_ranks[0]
    return {name: not (ranks[:, number] >= 0).any() for number, name in enumerate(candidates.sources)}


def _features(contents: Contents, requests: Requests, steps: list[Step], identity: str) -> Float32 | None:
    """Those of one candidate, by chance."""
    placed = in_front_of_ranker(steps)
    n = 0 if placed is None else int(placed.filled[0].sum())
    if placed is None or not n:
        return None
    matrix = contents.candidate_features().matrix(requests, placed)
    return np.asarray(matrix[0, chance_of(identity) % n])
