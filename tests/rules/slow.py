"""Rules by the book: every list there is, and the best of them. Nothing of it is funnel's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any


@dataclass(frozen=True)
class Thing:
    """A candidate: its id and its values by column, each a set."""

    name: int
    values: dict[str, frozenset[str]] = field(default_factory=dict)


#: What a list costs by one rule.
Cost = Callable[[Sequence[Thing]], int]


def at_most(column: str, n: int, of: Callable[[str], int] | None = None) -> Cost:
    """of: how many of one value, where that differs from n."""

    def cost(shown: Sequence[Thing]) -> int:
        over = 0
        for value in {value for thing in shown for value in thing.values[column]}:
            number = sum(value in thing.values[column] for thing in shown)
            over += max(0, number - (n if of is None else of(value)))
        return over

    return cost


def at_least(column: str, value: str, n: int, k: int) -> Cost:
    return lambda shown: max(0, min(n, k) - sum(value in thing.values[column] for thing in shown))


def pin(name: int, position: int, k: int, there: bool) -> Cost:
    """Asked for behind the end of a list, or not there at all, it cannot hold."""

    def cost(shown: Sequence[Thing]) -> int:
        if position > k:
            return 0
        return int(position > len(shown) or not there or shown[position - 1].name != name)

    return cost


def reserve(column: str, value: str, positions: Sequence[int]) -> Cost:
    return lambda shown: sum(
        1 for p in positions if p <= len(shown) and value not in shown[p - 1].values[column]
    )


def apart(column: str, groups: Sequence[Sequence[str]]) -> Cost:
    def cost(shown: Sequence[Thing]) -> int:
        present = {value for thing in shown for value in thing.values[column]}
        return sum(max(0, len(present & set(group)) - 1) for group in groups)

    return cost


def best(ranked: Sequence[Thing], k: int, rules: Sequence[tuple[bool, Cost]]) -> tuple[list[int], list[int]]:
    """Names of the best list, and what it costs each rule. ranked: best first. rules: whether each is strict,
    by priority."""
    found: Any = None
    place = {thing.name: number for number, thing in enumerate(ranked)}
    for length in range(min(k, len(ranked)), -1, -1):
        for some in combinations(ranked, length):
            for shown in permutations(some):
                costs = [cost(shown) for _, cost in rules]
                if any(cost for cost, (strict, _) in zip(costs, rules, strict=True) if strict):
                    continue
                order = [place[thing.name] for thing in shown]
                found = min(found, (costs, order)) if found is not None else (costs, order)
        if found is not None:
            return [ranked[at].name for at in found[1]], found[0]
    raise AssertionError("the empty list keeps to every strict rule")
