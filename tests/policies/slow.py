"""Draws by the book: the lists that may be shown are written out, and chances are counted from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.rules import slow


def best_lists(
    ranked: Sequence[slow.Thing], k: int, rules: Sequence[tuple[bool, slow.Cost]]
) -> list[tuple[int, ...]]:
    """All lists, as names, of which none costs the rules less: as long as can be, then by priority."""
    for length in range(min(k, len(ranked)), -1, -1):
        found: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
        for shown in permutations(ranked, length):
            costs = tuple(cost(shown) for _, cost in rules)
            if not any(cost for cost, (strict, _) in zip(costs, rules, strict=True) if strict):
                found.setdefault(costs, []).append(tuple(thing.name for thing in shown))
        if found:
            return found[min(found)]
    raise AssertionError("the empty list keeps to every strict rule")


def worths(
    above: Sequence[int], scores: dict[int, float], vectors: NDArray[Any], kind: str, trade_off: float
) -> dict[int, float]:
    """What each item that is left is worth below those above."""
    low, high = min(scores.values()), max(scores.values())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = unit @ unit.T
    out = {}
    for item in sorted(set(scores) - set(above)):
        relevance = (scores[item] - low) / (high - low) if high > low else 0.0
        if trade_off == 1:
            out[item] = relevance
        elif kind == "mmr":
            closest = max((similar[item, other] for other in above), default=-1.0)
            out[item] = trade_off * relevance - (1 - trade_off) * closest
        else:
            rows = [*above, item]
            volume = np.linalg.slogdet((1 + similar[np.ix_(rows, rows)]) / 2)[1]
            before = np.linalg.slogdet((1 + similar[np.ix_(above, above)]) / 2)[1] if above else 0.0
            out[item] = trade_off * relevance + (1 - trade_off) * (volume - before)
    return out


def chances(
    allowed: Sequence[int], worth: dict[int, float], temperature: float, epsilon: float, top: int
) -> dict[int, float]:
    """Of each item that may stand next."""
    best = sorted(allowed, key=lambda item: (-worth[item], item))[:top]
    odds = {item: math.exp((worth[item] - worth[best[0]]) / temperature) for item in best}
    whole = sum(odds.values())
    return {item: (1 - epsilon) * odds[item] / whole + epsilon / len(best) for item in best}
