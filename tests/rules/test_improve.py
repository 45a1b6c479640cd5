"""Integer programs give the best list by length and by rules, whatever list they start from."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rules_cases import drawn
from benchmarks.rules_exact import boosted, costs_of, every_list
from funnel.rules.improve import improved
from tests.rules.test_exact import catalogue, made


@pytest.mark.parametrize("number", range(60))
def test_from_nothing_to_the_best_of_all_lists(number: int) -> None:
    case = drawn(5, number, 1, small=True)
    ruleset = case.ruleset()
    rules = [rule for rule in case.by_priority if rule["kind"] not in ("boost", "budget")]
    items, layout = np.ascontiguousarray(boosted(case, 0)), ruleset.layout
    p = layout._problem(items, min(case.k, len(items)), case.occasion(np.zeros(1, np.int64)), 0)
    out = np.zeros(min(case.k, len(items)), dtype=np.int32)
    length, proven, _ = improved(p, layout._strict, layout.n_teams, len(out), out, 0)
    shown, cost = every_list(case, 0, items)
    assert rules or not any(cost)
    assert costs_of(case, items[out[:length]].tolist(), 0) == cost
    assert items[out[:length]].tolist() == shown
    assert proven


def test_no_candidate_is_left_for_competitors() -> None:
    """Caps and budgets may take all of them away."""
    rules = made(
        [
            {"kind": "apart", "column": "tags", "values": [["x", "y"]]},
            {"kind": "at_least", "where": {"tags": "x"}, "n": 1, "name": "x"},
        ],
        catalogue(["a"], [["x"]]),
    )
    places, _, outcome = rules.arranged(np.empty(0, np.int32), np.empty(0, np.float32), 5)
    assert len(places) == 0
    assert outcome.gave_way == ("x",)
