"""Two rankings in one list: each user sees both, so that what people differ in drops out.

Team draft (Radlinski, Kurup and Joachims, CIKM 2008): in each round both rankings put in their best item that
is not there yet, in an order by chance; a click counts for the ranking that put the item in. Judged paired by
user, since a user's lists are alike; each user counts once, however much they click.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from funnel.errors import DataError
from funnel.experiments.sequences import multiplier

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class DraftedList:
    """A list of both rankings. teams: whose each item is, 0 of a, 1 of b, -1 of neither. chances: of each
    position, that it had its item, given those above: both of a round go in, in an order by chance."""

    items: list[Any]
    teams: list[int]
    chances: list[float]


def team_draft(
    a: Sequence[Hashable], b: Sequence[Hashable], k: int, seed: int | Sequence[int]
) -> tuple[list[Any], list[int]]:
    """A list of up to k items of both rankings, each once, and whose each is: 0 of a, 1 of b, -1 of neither.

    a, b: items, best first. The same seed gives the same list. Where both would put in the same item it is
    neither's, since a click on it says nothing of which is better.
    """
    draft = drafted(a, b, k, seed)
    return draft.items, draft.teams


def drafted(a: Sequence[Hashable], b: Sequence[Hashable], k: int, seed: int | Sequence[int]) -> DraftedList:
    """The same, with the chances that it came out so."""
    lists, draft = _Lists(a, b), DraftedList([], [], [])
    for first in np.random.default_rng(seed).integers(2, size=k):
        of_round = lists.round(int(first))
        for number, (item, team) in enumerate(of_round[: k - len(draft.items)]):
            draft.items.append(item)
            draft.teams.append(team)
            draft.chances.append(0.5 if len(of_round) == 2 and number == 0 else 1.0)
    return draft


class _Lists:
    """What is left of two rankings."""

    def __init__(self, a: Sequence[Hashable], b: Sequence[Hashable]) -> None:
        self._of, self._next, self._taken = (a, b), [0, 0], set[Hashable]()

    def round(self, first: int) -> list[tuple[Any, int]]:
        """The next item of each, that of team `first` in front; an item that both put in, once."""
        best = [(self._best(team), team) for team in (first, 1 - first)]
        left = [(items[0], team) for items, team in best if items]
        if len(left) == 2 and left[0][0] == left[1][0]:
            left = [(left[0][0], -1)]
        self._taken.update(item for item, _ in left)
        return left

    def _best(self, team: int) -> Sequence[Hashable]:
        """The best item that is not taken, alone; empty where all are."""
        own = self._of[team]
        while self._next[team] < len(own) and own[self._next[team]] in self._taken:
            self._next[team] += 1
        return own[self._next[team] : self._next[team] + 1]


#: What the log has as the arm of a user whose lists are of both.
INTERLEAVED = "interleaved"


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


@dataclass(frozen=True)
class Liking:
    """What users who clicked prefer so far: users, the mean of their preference for b from -1 to 1, and its
    standard error."""

    users: int
    mean: float
    se: float

    @classmethod
    def of(cls, clicks_a: ArrayLike, clicks_b: ArrayLike) -> Liking:
        """clicks_a, clicks_b: by user, [users] each; users without a click say nothing and are left out."""
        a, b = (np.asarray(clicks, dtype=np.float64) for clicks in (clicks_a, clicks_b))
        clicked = a + b > 0
        scores = (b - a)[clicked] / (a + b)[clicked]
        if len(scores) < 2:
            return cls(len(scores), float(scores.sum()), float("nan"))
        return cls(len(scores), float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(len(scores))))


def preference(
    clicks_a: ArrayLike, clicks_b: ArrayLike, *, horizon_users: int, alpha: float = 0.05
) -> Preference:
    """Judge clicks by user and team: [users] each; users without a click say nothing and are left out.

    horizon_users: with a click, that are expected in all: there the sequence is narrowest.
    Raises: DataError for fewer than two users with a click.
    """
    from scipy.special import ndtr, ndtri  # half a second, which an answer does not need

    liking = Liking.of(clicks_a, clicks_b)
    if liking.users < 2:
        raise DataError(f"{liking.users} users clicked on an interleaved list: at least two are needed")
    mean, se = liking.mean, liking.se
    once = float(-ndtri(alpha / 2)) * se
    always = float(multiplier(liking.users / horizon_users, alpha=alpha)) * se
    p_value = float(2 * ndtr(-abs(mean) / se)) if se > 0 else 1.0
    return Preference(liking.users, mean, se, mean - once, mean + once, mean - always, mean + always, p_value)
