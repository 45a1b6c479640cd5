"""The list that keeps to the rules best where the search ended before it was sure: by integer programs.

The length comes first; then one rule after another is made as cheap as can be, with those before it held at
what they cost.
"""

from __future__ import annotations

import numpy as np

from funnel.rules.problem import Problem
from funnel.rules.program import Program
from funnel.rules.search import FREE, costs_of, first_list
from funnel.types import Bool, Int32


def improved(
    p: Problem, strict: Bool, n_teams: int, k: int, out: Int32, length: int
) -> tuple[int, bool, Int32]:
    """Put the best list into out [K], which has one of this length: its length, whether it is proven to be
    the best, and what it costs each rule, int32 [R].

    By length and by rules it is the best; its order too, where the search finds it now that it is known what
    each rule costs at least.
    """
    chosen, costs, proven = _cheapest(p, strict, n_teams, k, out[:length].copy())
    ordered = chosen.copy()
    if first_list(p, n_teams, len(chosen), costs, ordered):
        out[: len(chosen)] = ordered
    else:
        proven, out[: len(chosen)] = False, chosen
    return len(chosen), proven, costs


def _cheapest(p: Problem, strict: Bool, n_teams: int, k: int, chosen: Int32) -> tuple[Int32, Int32, bool]:
    """A list, what it costs each rule, and whether neither its length nor its costs can be better."""
    allow = np.where(strict, 0, FREE).astype(np.int32)
    longest = Program(p, len(strict), n_teams, k, whole=False).longest(allow) if len(chosen) < k else None
    proven = len(chosen) == k or (longest is not None and longest.proven)
    if longest is not None and len(longest.chosen) > len(chosen):
        chosen = longest.chosen
    program, costs = Program(p, len(strict), n_teams, len(chosen)), costs_of(p, n_teams, len(strict), chosen)
    for r in np.flatnonzero(~strict):
        if costs[r] > 0:
            better = program.least(int(r), allow)
            proven &= better is not None and better.proven
            if better is not None and (now := costs_of(p, n_teams, len(strict), better.chosen))[r] < costs[r]:
                chosen, costs = better.chosen, now
        allow[r] = costs[r]
    return chosen, costs, proven
