"""A world in which every list can be written out, so that what a policy earns is a sum and no estimate.

Eight kinds of requests, five items, lists of three. Whoever sees a list clicks by one of three models: each
position by its item alone; down the list, where a click above makes one below rarer; or by the whole list,
where what stands below counts as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

CONTEXTS, ITEMS, LENGTH = 8, 5, 3
CLICKS = ("alone", "cascade", "whole")
LISTS = np.array(list(permutations(range(ITEMS), LENGTH)))


@dataclass(frozen=True)
class Policy:
    """Of every list: conditional chance of each position [X, L, 3], of the whole list [X, L], and the chance
    of each item at each position whatever stands above [X, 3, items]."""

    conditional: Float64
    whole: Float64
    marginal: Float64

    @classmethod
    def of(cls, scores: Float64, temperature: float, epsilon: float) -> Policy:
        """scores: [X, items]. Lists are drawn position by position."""
        conditional = np.empty((CONTEXTS, len(LISTS), LENGTH))
        for x in range(CONTEXTS):
            for number, items in enumerate(LISTS.tolist()):
                left = list(range(ITEMS))
                for position, item in enumerate(items):
                    odds = np.exp(scores[x, left] / temperature)
                    share = (1 - epsilon) * odds / odds.sum() + epsilon / len(left)
                    conditional[x, number, position] = share[left.index(item)]
                    left.remove(item)
        whole = conditional.prod(axis=2)
        marginal = np.zeros((CONTEXTS, LENGTH, ITEMS))
        for number, items in enumerate(LISTS.tolist()):
            for position, item in enumerate(items):
                marginal[:, position, item] += whole[:, number]
        return cls(conditional, whole, marginal)


@dataclass(frozen=True)
class World:
    """shares: [X], how often each kind of request comes. clicks: [X, L, 3], the chance of a click at each
    position of each list; where a click above matters, `after` [X, L, 3] is what one multiplies it by."""

    shares: Float64
    base: Float64
    kind: str

    def chance(
        self, x: NDArray[np.int64], lists: NDArray[np.int64], clicked: NDArray[np.bool_], at: int
    ) -> Float64:
        """Of a click at a position of lists [n], given the clicks above [n, 3]."""
        items = LISTS[lists]
        own = self.base[x, items[:, at]] * (1 - 0.15 * at)
        if self.kind == "alone":
            return own
        above = self.base[x[:, None], items[:, :at]].sum(axis=1)
        own = own * np.exp(-1.2 * above) * 0.6 ** clicked[:, :at].sum(axis=1)
        if self.kind == "cascade":
            return own
        below = self.base[x[:, None], items[:, at + 1 :]].sum(axis=1)
        return own * np.exp(-1.5 * below)

    def value(self, policy: Policy) -> float:
        """Clicks a list, summed over all kinds of requests, all lists and all ways to click."""
        return float((self.shares[:, None] * policy.whole * self.tails()[:, :, 0]).sum())

    def tails(self) -> Float64:
        """[X, L, 3]: clicks that a list is expected to have from each position on."""
        x = np.repeat(np.arange(CONTEXTS), len(LISTS))
        lists = np.tile(np.arange(len(LISTS)), CONTEXTS)
        expected = np.zeros((len(x), LENGTH))
        for number in range(2**LENGTH):
            pattern = np.array([number >> at & 1 for at in range(LENGTH)], dtype=bool)
            clicked = np.broadcast_to(pattern, (len(x), LENGTH))
            odds = np.ones(len(x))
            for at in range(LENGTH):
                chance = self.chance(x, lists, clicked, at)
                odds = odds * np.where(pattern[at], chance, 1 - chance)
            expected += odds[:, None] * pattern
        tails = expected[:, ::-1].cumsum(axis=1)[:, ::-1]
        return tails.reshape(CONTEXTS, len(LISTS), LENGTH)


def new_world(kind: str, seed: int) -> World:
    """One of the three kinds."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(CONTEXTS, 5.0))
    return World(shares, rng.uniform(0.05, 0.6, size=(CONTEXTS, ITEMS)), kind)
