"""Budgets that last for their day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from funnel.rules.config import BudgetRule
from funnel.rules.pacing import leave_out
from funnel.types import Occasion, Ragged
from tests.rules.test_exact import made

DAY = 86_400
EVENING = [1.0] * 18 + [5.0] * 6


def world(limits: list[float | None], spent: list[float | None]) -> Catalogue:
    n = len(limits)
    frame = pd.DataFrame(
        {
            "campaign": [f"c{i // 2}" for i in range(n)],
            "budget": limits,
            "spent": np.array(spent, dtype=float),
        }
    )
    return Catalogue(Vocabulary.of(np.arange(n)), frame, {})


def at(now: int, key: int) -> Occasion:
    none = Ragged.empty(1)
    return Occasion(np.array([now]), np.array([key]), none, Ragged.empty(1, np.int64), np.array([True]))


def rule(**more: Any) -> dict[str, Any]:
    return {"kind": "budget", "limit": "budget", "spent": "spent", "by": "campaign", **more}


def through_a_day(
    curve: list[float], wins: float, requests: int = 20_000, budget: float = 1000.0
) -> np.ndarray:
    """What a campaign spent by each request of a day, who wins so many of the requests that it may take part
    in, each for 1.0; demand is even."""
    budget_rule, rng = BudgetRule.model_validate(rule(curve=curve)), np.random.default_rng(0)
    spent, path, campaign = 0.0, [], np.zeros((1, 1), dtype=np.int32)
    for number in range(requests):
        now, key, out = number * DAY // requests, int(rng.integers(2**62)), np.zeros(1, dtype=np.bool_)
        leave_out(budget_rule, now, key, campaign, np.array([budget]), np.array([spent]), out)
        if not out[0] and rng.random() < wins:
            spent += 1.0
        path.append(spent)
    return np.array(path)


@pytest.mark.parametrize("curve", [[1.0] * 24, EVENING], ids=["even", "evening"])
def test_money_lasts_for_the_day_and_goes_by_its_curve(curve: list[float]) -> None:
    """Two thirds of what could be won would be enough to spend it by a third of the day."""
    path = through_a_day(curve, 0.5)
    plan = np.interp(
        np.arange(1, 20_001) / 20_000, np.arange(25) / 24, np.append(0, np.cumsum(curve)) / sum(curve)
    )
    assert (path <= 1000 * plan + 0.02 * 1000 + 1).all()
    assert (path >= 1000 * plan - 0.05 * 1000).all()
    assert 950 <= path[-1] <= 1000


def test_too_little_demand_is_not_held_back_further() -> None:
    assert through_a_day([1.0] * 24, 0.02)[-1] == pytest.approx(0.02 * 20_000, rel=0.15)


def test_what_is_spent_is_out_and_what_has_no_budget_is_not() -> None:
    infinite = float("inf")
    on = world([0, 10, 10, None, -1, 10, infinite, -infinite], [0, 10, 11, 5, None, None, 1e9, 0])
    rules, rows = made([rule(by="item_id", slack=1.0)], on), np.arange(8, dtype=np.int32)
    for key in range(50):
        assert np.flatnonzero(rules.excluded(at(DAY - 1, key), 0, rows)).tolist() == [0, 1, 2, 4, 7]


def test_a_campaign_takes_part_or_does_not_as_a_whole_and_again_the_same_way() -> None:
    on = world([100.0] * 40, [51.0] * 40)
    rules, rows = made([rule()], on), np.arange(40, dtype=np.int32)
    first = [rules.excluded(at(DAY // 2, key), 0, rows).tolist() for key in range(200)]
    again = [made([rule()], on).excluded(at(DAY // 2, key), 0, rows).tolist() for key in range(200)]
    assert first == again
    assert all(one[::2] == one[1::2] for one in first)
    assert 0.4 < np.mean(first) < 0.6  # half of the slack is used up
    assert len({tuple(one) for one in first}) > 150


def test_an_item_with_any_value_that_was_shown_often_enough_is_out() -> None:
    """Whichever of its values that is; and nothing is where fewer were shown."""
    frame = pd.DataFrame({"tags": [["a", "b"], ["b"], ["c", "a"], ["d"], []]})
    on, rows = Catalogue(Vocabulary.of(np.arange(5)), frame, {}), np.arange(5, dtype=np.int32)
    rules = made([{"kind": "cap", "column": "tags", "shows": 2, "per": "1h"}], on)

    def shown(*items: int) -> list[bool]:
        impressions = Ragged.from_lists([list(items)])
        times = Ragged(np.full(len(items), DAY - 60, dtype=np.int64), impressions.offsets)
        seen = Occasion(np.array([DAY]), np.array([0]), impressions, times, np.array([True]))
        return rules.excluded(seen, 0, rows).tolist()

    assert shown(2, 3) == [False] * 5
    assert shown(2, 2) == [True, False, True, False, False]  # c and a
    assert shown(1, 0) == [True, True, False, False, False]  # b
