"""Lists that were shown in the ranker's window, as the ranker learns from them beside what is retrieved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data import LoggedLists
from funnel.data.attribution import CLICK
from funnel.engine import Funnel
from funnel.errors import DataError
from funnel.evaluation.chunks import CHUNK, each_chunk
from funnel.pipeline.click_rates import propensities_of, shown_before
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.unknown_context import rows_again, unknown_from
from funnel.ranker.calibration import EVENT
from funnel.ranker.config import FOLDS
from funnel.ranker.logged import ShownRows, join_rows, shown_rows
from funnel.ranker.propensity import Propensities
from funnel.recipes import Recipe
from funnel.types import Candidates, Examples, Int64


@dataclass(frozen=True)
class Logged:
    """What the ranker learns from logged lists.

    folds: rows of the lists of each fold of users. propensities: how far positions are looked at; None where
    every click counts the same. notes: in words.
    """

    folds: tuple[ShownRows, ...]
    propensities: Propensities | None
    notes: tuple[str, ...]


def learn_from(contents: Contents, prepared: Prepared, folds: Sequence[Examples]) -> Logged | None:
    """The lists of the ranker's window, cut into the same folds by user. None where there is none."""
    lists = prepared.ranker_lists
    if lists is None:
        return None
    every = lists.take(rows_again(contents, lists.examples.requests.users, prepared.config.seed))
    every = replace(every, examples=unknown_from(contents, every.examples, len(lists)))
    rows, fold = _rows(contents, every), _folds(every.examples, folds, prepared.config.seed)
    parts = tuple(rows.take(np.flatnonzero(fold == number)) for number in range(FOLDS))
    propensities, note = window_propensities(prepared)
    drawn = len(lists) < lists.weights.sum() * (1 - 1e-9)
    what = f"{len(lists):,} of {lists.weights.sum():,.0f}" if drawn else f"{len(lists):,}"
    clicks = len(lists.examples.targets.values)
    return Logged(
        parts, propensities, (f"it learned from {what} shown lists with {clicks:,} clicks, too", note)
    )


def head_names(prepared: Prepared) -> list[str]:
    """The kinds of events that a bundle of these data has probabilities of."""
    kinds = prepared.split.kinds
    targets = [] if kinds is None else list(kinds.target_names)
    lists = prepared.ranker_lists
    return list(dict.fromkeys([EVENT, *([] if lists is None else [CLICK]), *targets]))


def window_propensities(prepared: Prepared) -> tuple[Propensities | None, str]:
    """How far positions were looked at before the test window, and in words; None and why, where clicks all
    count the same."""
    if prepared.config.ranker.propensity == "none":
        return None, "each click counts the same, wherever its item stood (ranker.propensity)"
    try:
        propensities = propensities_of(shown_before(prepared, prepared.split.test))
    except DataError as error:
        return None, f"each click counts the same, wherever its item stood: {error}"
    return propensities, propensities.sentence


def _rows(contents: Contents, lists: LoggedLists) -> ShownRows:
    """The rows of some lists, in their order."""
    features = contents.candidate_features()
    chunks = each_chunk(Recipe(_placed, contents), lists.examples)
    return join_rows(
        [
            shown_rows(part, candidates, weights, features)
            for weights, (part, candidates) in zip(_weights(lists), chunks, strict=True)
        ]
    )


def _placed(contents: Contents) -> Callable[[Examples], tuple[Examples, Candidates]]:
    stages = Funnel(contents.placing())
    return lambda part: (part, stages(part.requests))


def _weights(lists: LoggedLists) -> list[np.ndarray]:
    return np.split(lists.weights, range(CHUNK, len(lists), CHUNK)) if len(lists) else []


def _folds(examples: Examples, folds: Sequence[Examples], seed: int) -> Int64:
    """The fold of each list: that of its user's other requests, or one by chance."""
    users = examples.requests.users
    of = {
        user: number
        for number, fold in enumerate(folds)
        for user in fold.requests.users.tolist()
        if user >= 0
    }
    known, at = np.unique(users, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(FOLDS, size=len(known))
    by_user = np.array(
        [of.get(user, chance) for user, chance in zip(known.tolist(), drawn.tolist(), strict=True)]
    )
    alone = np.random.default_rng((seed, 1)).integers(
        FOLDS, size=len(users)
    )  # an unknown user is one of their own
    return np.where(users < 0, alone, by_user[at]).astype(np.int64)
