"""What the gates see: counts over seeded worlds, at the default size of the holdout and at others.

A request has one target, found or not; two bundles agree on most requests, as two trainings do.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from funnel.gates import GatesConfig
from funnel.gates.quality import not_inferior
from funnel.types import Int32

TRIALS = 100
#: How often two bundles of equal worth answer a request in the same way; of the tests' small worlds, .76.
AGREE = 0.76


def values(rng: np.random.Generator, chance: np.ndarray) -> np.ndarray:
    """NDCG@10 of requests whose one target is found by chance, at a place from 1 to 10."""
    found = rng.random(len(chance)) < chance
    return np.where(found, 1 / np.log2(1 + rng.integers(1, 11, len(chance))), 0.0)


class World:
    """Requests of users who are served well or badly."""

    def __init__(self, seed: int, requests: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.users: Int32 = self.rng.integers(0, max(1, requests // 5), requests).astype(np.int32)
        self.chance = self.rng.beta(2, 5, requests)[self.users]
        self.first = values(self.rng, self.chance)

    def after(self, before: np.ndarray, fall: float, lost: float = 0.0) -> np.ndarray:
        """Another bundle's, that finds this share less: of equal worth, and then some finds lost.

        lost: the share that the bundle before had lost already.
        """
        again = values(self.rng, self.chance * (1 - lost))
        equal = np.where(self.rng.random(len(before)) < AGREE, before, again)
        return np.where(self.rng.random(len(before)) < fall, 0.0, equal)


def stopped(requests: int, fall: float, config: GatesConfig) -> int:
    """Of so many bundles that fell by that much, how many are stopped."""
    count = 0
    for seed in range(TRIALS):
        world = World(seed, requests)
        new = world.after(world.first, fall)
        found = not_inferior("stages", "x", new, world.first, world.users, config.stage_fall, config, seed)
        count += not found.passed
    return count


def test_at_the_default_size_a_fall_of_five_percent_is_stopped_and_equal_bundles_are_not() -> None:
    config = GatesConfig()
    assert (config.holdout, config.stage_fall) == (10_000, 0.05)
    assert stopped(config.holdout, 0.05, config) >= 0.9 * TRIALS
    assert stopped(config.holdout, 0.10, config) == TRIALS
    assert stopped(config.holdout, 0.0, config) <= 0.03 * TRIALS


@pytest.mark.parametrize("requests", [200, 1000])
def test_a_small_holdout_never_waves_a_fall_of_the_largest_margin_through(requests: int) -> None:
    """What it cannot see is no excuse beyond `visible_fall`: then equal bundles are stopped, too."""
    config = GatesConfig()
    assert stopped(requests, config.visible_fall, config) >= 0.9 * TRIALS


def test_a_holdout_that_sees_less_stops_no_more_equal_bundles_as_long_as_that_is_allowed() -> None:
    lenient = GatesConfig(visible_fall=1.0)
    assert stopped(1000, 0.0, lenient) <= 0.03 * TRIALS
    assert stopped(1000, 0.3, lenient) == TRIALS
    strict = GatesConfig(visible_fall=0.0)
    assert stopped(1000, 0.0, strict) >= 0.5 * TRIALS


def test_falls_that_pass_one_by_one_are_stopped_beside_the_anchor() -> None:
    """Five falls of two percent, each beside the one before, and all together beside the first."""
    config = GatesConfig()
    passed_each = caught = 0
    for seed in range(TRIALS // 2):
        world = World(seed, config.holdout)
        bundles = [world.first]
        for step in range(5):
            bundles.append(world.after(bundles[-1], 0.02, lost=1 - 0.98**step))
        passed_each += all(
            not_inferior("stages", "x", new, old, world.users, config.stage_fall, config, seed).passed
            for old, new in pairwise(bundles)
        )
        fall = config.stage_fall
        caught += not not_inferior(
            "anchor", "x", bundles[-1], world.first, world.users, fall, config, seed
        ).passed
    assert passed_each >= 10  # so that there is something to catch
    assert caught >= 0.95 * TRIALS / 2


def test_the_verdict_says_what_can_be_seen_and_what_it_would_take() -> None:
    """Asked for as many requests, the fall that is asked for can be told from chance."""
    config, world = GatesConfig(), World(0, 1000)
    new = world.after(world.first, 0.0)
    found = not_inferior("stages", "x", new, world.first, world.users, 0.05, config, 0)
    assert (
        "can be told from chance on 1,000 requests (`gates.holdout`); 5.0% would take about" in found.sentence
    )
    wanted = int(found.sentence.rpartition("about ")[2].replace(",", ""))
    larger = World(1, wanted)
    again = not_inferior(
        "stages", "x", larger.after(larger.first, 0.0), larger.first, larger.users, 0.05, config, 0
    )
    visible = float(again.sentence.partition("falls from ")[2].partition("%")[0])
    assert visible == pytest.approx(5.0, rel=0.2)
    assert (
        "would take"
        not in not_inferior("stages", "x", world.first, world.first, world.users, 0.05, config, 0).sentence
    )


def test_the_margin_is_a_share_of_what_was_before_and_the_interval_one_sided() -> None:
    """Against the normal approximation, by the standard error over users."""
    config, world = GatesConfig(alarms=0.1, power=0.9), World(3, 20_000)
    new = world.after(world.first, 0.01)
    found = not_inferior("stages", "x", new, world.first, world.users, 0.05, config, 0)
    change = new - world.first
    sums = np.bincount(world.users, weights=change - change.mean())
    error = np.sqrt((sums**2).sum()) / len(change)
    worst = -(change.mean() - 1.2816 * error) / world.first.mean()
    assert found.value == pytest.approx(worst, rel=0.1)


@pytest.mark.parametrize(("requests", "hits"), [(20, 1), (100, 5), (100, 20), (400, 20)])
def test_too_few_hits_to_have_seen_a_fall_pass_nothing(requests: int, hits: int) -> None:
    """Not even equal lists: half of so few hits may be lost elsewhere, and none of these."""
    old = np.zeros(requests)
    old[:hits] = 0.5
    users = np.arange(requests, dtype=np.int32)
    found = not_inferior("stages", "x", old, old, users, 0.05, GatesConfig(), 0)
    assert not found.passed
    assert found.value == pytest.approx(1 - 0.05 ** (1 / hits))  # a bundle that loses that keeps all by 5%
    wanted = int(found.sentence.rpartition("about ")[2].partition(" ")[0].replace(",", ""))
    more = np.tile(old, -(-wanted // requests))
    enough = not_inferior(
        "stages", "x", more, more, np.arange(len(more), dtype=np.int32), 0.05, GatesConfig(), 0
    )
    assert enough.passed
    assert f"; {hits:,} people had a hit before, and 29 must have had one, about" in found.sentence


def test_without_a_hit_before_nothing_is_measured_unless_there_are_enough_now() -> None:
    none, users = np.zeros(200), np.arange(200, dtype=np.int32)
    nothing = not_inferior("stages", "x", none, none, users, 0.05, GatesConfig(), 0)
    assert not nothing.passed
    assert "0 people had a hit before, and 29 must have had one" in nothing.sentence
    some = np.where(users < 20, 0.5, 0.0)
    assert not_inferior("stages", "x", some, none, users, 0.05, GatesConfig(), 0).passed


def test_a_bundle_that_lost_half_of_its_hits_is_stopped_however_few_they_were() -> None:
    config, passed = GatesConfig(), 0
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        old = np.where(rng.random(50) < 0.05, 0.5, 0.0)
        new = old * (rng.random(50) < 0.5)
        users = np.arange(50, dtype=np.int32)
        passed += not_inferior("stages", "x", new, old, users, 0.05, config, seed).passed
    assert passed == 0
