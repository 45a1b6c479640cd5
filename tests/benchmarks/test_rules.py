"""The benchmark of rules, small: random rules hold as well as they can, and what audits them sees a fault."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.rules import answered, checked, compared
from benchmarks.rules_audit import costs, least, longest
from benchmarks.rules_cases import Case, drawn
from benchmarks.rules_exact import boosted, costs_of, every_list, program

FAULTS = (
    "strict rules broken", "items that are no candidates, or twice", "what gave way is said wrongly",
    "blocked without a reason", "shown although spent or capped", "could have been avoided",
    "another list than the best of all", "another cost than the best of all",
    "programs that differ from all lists",
)  # fmt: skip


def found_of(*parts: Counter[str]) -> dict[str, int]:
    total = sum(parts, Counter[str]())
    return {name: total[name] for name in FAULTS}


@pytest.mark.parametrize("sets", [4, 12])
def test_random_rules_hold_as_well_as_they_can(sets: int) -> None:
    parts = [checked(1, 2, number, 40) for number in range(sets)]
    assert found_of(*parts) == dict.fromkeys(FAULTS, 0)
    assert sum(part["least by an integer program"] for part in parts) > 0
    assert sum(part["least by a rule's own bound"] for part in parts) > 0


def test_small_requests_get_the_best_of_all_lists() -> None:
    assert found_of(*[compared(1, number) for number in range(60)]) == dict.fromkeys(FAULTS, 0)


@pytest.fixture
def case() -> Case:
    """At most two of a brand, strictly, and one item at position 1."""
    drawn_case = drawn(0, 0, 30)
    rules = [
        {"kind": "at_most", "column": "brand", "n": 2, "strict": True, "name": "two", "priority": 1},
        {"kind": "pin", "item": 3, "position": 1, "name": "deal", "priority": 0},
    ]
    return Case(drawn_case.items, rules, 5, drawn_case.candidates, drawn_case.scores, drawn_case.impressions)


def test_the_audit_sees_what_is_wrong(case: Case) -> None:
    left, lists, _, _ = answered(case, case.ruleset())
    two, deal = case.by_priority
    assert not costs(left, two, lists).any()
    one_brand = np.flatnonzero([brand == case.items.brand[0] for brand in case.items.brand])[:5]
    assert costs(left, two, np.tile(one_brand, (30, 1))).tolist() == [len(one_brand) - 2] * 30
    swapped = lists[:, ::-1].copy()
    there = (left.candidates == 3).any(axis=1)
    assert there.any()
    assert (costs(left, deal, lists)[there] == 0).all()
    assert (costs(left, deal, swapped)[there] == 1).all()
    assert (least(left, deal, left.candidates, longest(left, left.candidates))[there] == 0).all()


def test_the_slow_solvers_agree_where_both_can_answer() -> None:
    tried = 0
    for number in range(40):
        small = drawn(3, number, 1, small=True)
        shown, cost = every_list(small, 0, boosted(small, 0))
        assert program(small, 0) == (len(shown), cost)
        assert costs_of(small, shown, 0) == cost
        tried += any(cost)
    assert tried > 5
