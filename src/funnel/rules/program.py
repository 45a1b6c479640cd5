"""A list under rules as an integer program, for HiGHS (scipy.optimize.milp).

Candidates that are the same to all rules are one class, and positions that no rule names are one slot: what
is asked is how many of each class are at each slot. Nothing depends on a clock: a program that needs too many
nodes is ended and gives the best that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.rules.problem import Problem
from funnel.types import Int32

#: Nodes of one program's search tree.
NODES = 500

#: Weights by number of a variable.
Terms = Mapping[int, float]


class Solution(NamedTuple):
    """chosen: int32 [length], a candidate a position. proven: whether nothing is less."""

    chosen: Int32
    proven: bool


class Program:
    """Lists of one length, or, where not `whole`, of at most that length; and what they cost each rule.

    x[c, s], the first variables: how many candidates of class c are at slot s; the last slot is that of all
    positions that no rule names. Behind them are variables that a rule costs by.
    """

    def __init__(self, p: Problem, n_rules: int, n_teams: int, length: int, *, whole: bool = True) -> None:
        self._p, self._length = p, length
        _, self._first, self._class_of = np.unique(p.kinds, return_index=True, return_inverse=True)
        self._named = [at for at in range(length) if p.pin[at] >= 0 or p.reserved[at] >= 0]
        self._width = len(self._named) + 1
        self._n = len(self._first) * self._width
        self._rows: list[tuple[Terms, float, float]] = []
        self._costs: list[dict[int, float]] = [{} for _ in range(n_rules)]
        self._slots(whole)
        self._limits()
        self._apart(n_teams)
        self._at_least()
        self._positions()

    def least(self, r: int, allow: Int32) -> Solution | None:
        """The list that costs rule r as little as can be, and no rule more than is allowed."""
        return self._solved(self._costs[r], allow)

    def longest(self, allow: Int32) -> Solution | None:
        """The list of most items that costs no rule more than is allowed."""
        return self._solved(dict.fromkeys(range(len(self._first) * self._width), -1.0), allow)

    def _variable(self) -> int:
        self._n += 1
        return self._n - 1

    def _everywhere(self, classes: Iterable[Any]) -> dict[int, float]:
        """Candidates of some classes, at whatever slot."""
        return {int(c) * self._width + s: 1.0 for c in classes for s in range(self._width)}

    def _slots(self, whole: bool) -> None:
        """Each slot is filled, and no candidate is in the list twice."""
        sizes = [*[1] * len(self._named), self._length - len(self._named)]
        for s, size in enumerate(sizes):
            terms = dict.fromkeys(range(s, len(self._first) * self._width, self._width), 1.0)
            self._rows.append((terms, size if whole else 0, size))
        for c, number in enumerate(np.bincount(self._class_of).tolist()):
            self._rows.append((self._everywhere([c]), 0, number))

    def _members(self, g: int) -> NDArray[np.intp]:
        """The classes of a group."""
        return np.flatnonzero((self._p.groups[self._first] == g).any(axis=1))

    def _limits(self) -> None:
        """What of a group is beyond its capacity costs its rule."""
        for g in np.flatnonzero(self._p.team < 0).tolist():
            beyond = self._variable()
            self._rows.append(
                ({**self._everywhere(self._members(g)), beyond: -1.0}, -np.inf, self._p.capacity[g])
            )
            self._costs[self._p.rule[g]][beyond] = 1.0

    def _apart(self, n_teams: int) -> None:
        """Values of a team beyond the first cost its rule."""
        for team in range(n_teams):
            groups = np.flatnonzero(self._p.team == team).tolist()
            present = [self._variable() for _ in groups]
            for g, there in zip(groups, present, strict=True):
                having = self._everywhere(self._members(g))
                self._rows.append(({**having, there: -float(self._length)}, -np.inf, 0))
                self._rows.append(({there: 1.0}, 0, 1))
            if groups:
                beyond = self._variable()
                self._rows.append(({**dict.fromkeys(present, 1.0), beyond: -1.0}, -np.inf, 1))
                self._costs[self._p.rule[groups[0]]][beyond] = 1.0

    def _at_least(self) -> None:
        """What is missing to a least number costs its rule."""
        for counts, least, r in zip(self._p.counts, self._p.least, self._p.least_rule, strict=True):
            missing = self._variable()
            counted = self._everywhere(np.flatnonzero(counts[self._first]))
            self._rows.append(({**counted, missing: 1.0}, least, np.inf))
            self._costs[r][missing] = 1.0

    def _positions(self) -> None:
        """A pin that is not in place costs its rule, and so does who is not meant for a reserved position."""
        p = self._p
        for s, at in enumerate(self._named):
            if p.pin[at] >= 0:
                missing, there = self._variable(), int(self._class_of[p.pin[at]]) * self._width + s
                self._rows.append(({there: 1.0, missing: 1.0}, 1, 1))
                self._costs[p.pin_rule[at]][missing] = 1.0
            if p.reserved[at] >= 0:
                others = np.flatnonzero(~p.fits[p.reserved[at]][self._first])
                cost = self._costs[p.reserved_rule[at]]
                cost.update({int(c) * self._width + s: 1.0 for c in others})

    def _solved(self, objective: Terms, allow: Int32) -> Solution | None:
        from scipy.optimize import Bounds, LinearConstraint, milp  # half a second, and rarely wanted
        from scipy.sparse import csr_array

        held = [
            (terms, -np.inf, cost) for terms, cost in zip(self._costs, allow.tolist(), strict=True) if terms
        ]
        rows = [*self._rows, *held]
        weights = np.zeros(self._n)
        weights[list(objective)] = list(objective.values())
        result = milp(
            weights,
            integrality=np.ones(self._n),
            bounds=Bounds(0, np.inf),
            constraints=LinearConstraint(
                csr_array(_entries([terms for terms, _, _ in rows]), shape=(len(rows), self._n)),
                [low for _, low, _ in rows],
                [high for _, _, high in rows],
            ),
            options={"node_limit": NODES},
        )
        return None if result.x is None else Solution(self._list(np.rint(result.x)), result.status == 0)

    def _list(self, x: NDArray[np.float64]) -> Int32:
        """A list of so many of each class at each slot: of a class the first come in, in their order where no
        rule names a position."""
        wanted = x[: len(self._first) * self._width].reshape(-1, self._width).astype(int)
        left = {c: np.flatnonzero(self._class_of == c).tolist() for c in np.flatnonzero(wanted.any(axis=1))}
        named = {
            at: left[c].pop(0)
            for s, at in enumerate(self._named)
            for c in np.flatnonzero(wanted[:, s])
        }  # fmt: skip
        others = sorted(row for c, rows in left.items() for row in rows[: wanted[c, -1]])
        rest = iter(others)
        chosen = [named[at] if at in named else next(rest, None) for at in range(self._length)]
        return np.array([row for row in chosen if row is not None], dtype=np.int32)


def _entries(rows: Sequence[Terms]) -> Any:
    """Values, and their positions: of a sparse matrix."""
    of = np.repeat(np.arange(len(rows)), [len(terms) for terms in rows])
    columns = [column for terms in rows for column in terms]
    return [value for terms in rows for value in terms.values()], (of, columns)
