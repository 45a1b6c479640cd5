"""Two rankings in one list: each user sees both, so that what people differ in drops out.

Team draft (Radlinski, Kurup and Joachims, CIKM 2008): in each round both rankings put in their best item that
is not there yet, in an order by chance; a click counts for the ranking that put the item in. Judged paired by
user, since a user's lists are alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from funnel.errors import DataError
from funnel.experiments.sequences import multiplier

Float64 = NDArray[np.float64]


def team_draft(
    a: Sequence[Hashable], b: Sequence[Hashable], k: int, seed: int | Sequence[int]
) -> tuple[list[Any], list[int]]:
    """A list of up to k items of both rankings, each once, and whose each is: 0 of a, 1 of b.

    a, b: items, best first. The same seed gives the same list.
    """
    drawn = np.random.default_rng(seed).integers(2, size=k)
    lists, next_of = (a, b), [0, 0]
    items: list[Any] = []
    teams: list[int] = []
    taken: set[Hashable] = set()
    for first in drawn:
        for team in (int(first), 1 - int(first)):
            position = next_of[team]
            while position < len(lists[team]) and lists[team][position] in taken:
                position += 1
            next_of[team] = position + 1
            if position < len(lists[team]) and len(items) < k:
                item = lists[team][position]
                taken.add(item)
                items.append(item)
                teams.append(team)
    return items, teams


@dataclass(frozen=True)
class Preference:
    """Which ranking users prefer, paired by user.

    users: who clicked on anything. mean: of the users' preference for b, from -1 (every click on a's items)
    to 1; 0 is none. se: its standard error. low, high: the interval of one look that was fixed before.
    sequence_low, sequence_high: that of all looks together. p_value: two-sided, of one look.
    """

    users: int
    mean: float
    se: float
    low: float
    high: float
    sequence_low: float
    sequence_high: float
    p_value: float


def preference(
    clicks_a: ArrayLike, clicks_b: ArrayLike, *, horizon_users: int, alpha: float = 0.05
) -> Preference:
    """Judge clicks by user and team: [users] each; users without a click say nothing and are left out.

    horizon_users: with a click, that are expected in all: there the sequence is narrowest.
    Raises: DataError for fewer than two users with a click.
    """
    a, b = (np.asarray(clicks, dtype=np.float64) for clicks in (clicks_a, clicks_b))
    clicked = a + b > 0
    scores = (b - a)[clicked] / (a + b)[clicked]
    if len(scores) < 2:
        raise DataError(f"{len(scores)} users clicked on an interleaved list: at least two are needed")
    mean, se = float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(len(scores)))
    once = float(norm.isf(alpha / 2)) * se
    always = float(multiplier(len(scores) / horizon_users, alpha=alpha)) * se
    p_value = float(2 * norm.sf(abs(mean) / se)) if se > 0 else 1.0
    return Preference(len(scores), mean, se, mean - once, mean + once, mean - always, mean + always, p_value)
