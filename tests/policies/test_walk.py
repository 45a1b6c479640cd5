"""The logged chance of each position is the chance that it had, through diversity and rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from funnel.policies import Drawing
from funnel.stages.config import RerankConfig
from tests.policies import slow
from tests.policies.worlds import candidates, draw, greedy, requests
from tests.rules.test_exact import cases, catalogue, cost_of, made, occasion, things

KINDS = [("mmr", 1.0), ("mmr", 0.6), ("dpp", 0.6)]


def positions_named(rules: list[dict[str, Any]], items: list[int], k: int) -> set[int]:
    """From 0, where a rule says what is to stand."""
    pins = {rule["position"] for rule in rules if rule["kind"] == "pin" and rule["item"] in items}
    reserved = {at for rule in rules if rule["kind"] == "reserve" for at in rule["positions"]}
    return {at - 1 for at in pins | reserved if at <= min(k, len(items))}


@settings(max_examples=75, deadline=None)
@given(
    cases(), st.sampled_from(KINDS), st.sampled_from([0.05, 0.5]), st.sampled_from([0.0, 0.2]),
    st.integers(1, 6), st.integers(0, 2**52),
)  # fmt: skip
def test_chances_are_those_that_lists_written_out_give(
    case: Any, kind: tuple[str, float], temperature: float, epsilon: float, top: int, seed: int
) -> None:
    brands, tags, order, rules, k, impressions = case
    vectors = np.random.default_rng(len(brands)).normal(size=(len(brands), 4)).astype(np.float32)
    scores = np.sort(np.random.default_rng(k).normal(size=len(order)))[::-1].astype(np.float32)
    rerank = RerankConfig(kind=kind[0], trade_off=kind[1])
    stage = draw(
        vectors, Drawing(temperature=temperature, epsilon=epsilon, top=top), k, rerank,
        made(rules, catalogue(brands, tags)),
    )  # fmt: skip
    at = occasion(impressions)
    asked = requests([seed]) if at is None else replace(requests([seed]), occasion=at)
    listed = stage(asked, candidates(order, scores.tolist()))
    n = int(listed.filled.sum())
    shown, chances = listed.items[0, :n].tolist(), listed.propensities[0]
    by_priority = sorted(rules, key=lambda rule: -rule["priority"])
    known = things(brands, tags)
    may = slow.best_lists(
        [known[item] for item in order], k, [cost_of(rule, k, known, impressions) for rule in by_priority]
    )
    assert tuple(shown) in may
    named = positions_named(rules, order, k)
    own = dict(zip(order, scores.astype(float).tolist(), strict=True))
    for position, item in enumerate(shown):
        above = shown[:position]
        next_items = sorted({one[position] for one in may if list(one[:position]) == above})
        worth = slow.worths(above, own, vectors.astype(float), *kind)
        most = 1 if position in named else top
        expected = slow.chances(next_items, worth, temperature, epsilon, most)
        assert chances[position] == pytest.approx(expected[item], rel=1e-4)
    assert (chances[n:] == 1).all()


@pytest.mark.parametrize(("kind", "trade_off"), KINDS)
def test_lists_come_as_often_as_their_chances_say(kind: str, trade_off: float) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)
    rules = [
        {"kind": "at_most", "column": "brand", "n": 1, "name": "one"},
        {"kind": "pin", "item": 4, "position": 2, "name": "deal"},
    ]
    ruleset = made(rules, catalogue(["a", "a", "b", "b", "c", None], [["x"]] * 6))
    stage = draw(
        vectors, Drawing(temperature=0.4, epsilon=0.1, top=50), 3,
        RerankConfig(kind=kind, trade_off=trade_off), ruleset,
    )  # fmt: skip
    n = 8_000
    listed = stage(requests(np.arange(n)), candidates([3, 1, 5, 0, 2, 4], [2.0, 1.5, 1.2, 1.0, 0.5, 0.1], n))
    lists, first, often = np.unique(listed.items, axis=0, return_index=True, return_counts=True)
    chances = listed.propensities[first].prod(axis=1)
    assert chances.sum() == pytest.approx(1, abs=1e-9)  # every list that can be is there
    assert (lists[:, 1] == 4).all()
    assert (listed.propensities[:, 1] == 1).all()
    assert chisquare(often, n * chances).pvalue > 1e-4
    # The control: chances that are a little off are told from these.
    wrong = np.roll(chances, 1)
    assert chisquare(often, n * wrong).pvalue < 1e-10


@pytest.mark.parametrize(("kind", "trade_off"), KINDS)
def test_without_chance_it_is_the_greedy_list(kind: str, trade_off: float) -> None:
    rng = np.random.default_rng(0)
    vectors, rerank = (
        rng.normal(size=(80, 8)).astype(np.float32),
        RerankConfig(kind=kind, trade_off=trade_off),
    )
    for _ in range(20):
        given = candidates(rng.permutation(80)[:60].tolist(), np.sort(rng.normal(size=60))[::-1].tolist())
        drawn = draw(vectors, Drawing(temperature=0, epsilon=0, top=50), 10, rerank)(requests([1]), given)
        (stage,) = greedy(vectors, rerank, 10, None)
        assert drawn.items.tolist() == stage(requests(None), given).items.tolist()
        assert (drawn.propensities == 1).all()


def test_the_same_seed_draws_the_same_list_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    stage = draw(vectors, Drawing(temperature=0.3, epsilon=0.05, top=20), 5, RerankConfig(trade_off=0.7))
    given = candidates(list(range(40)), np.linspace(1, 0, 40).tolist(), 50)
    together = stage(requests(np.arange(50)), given)
    assert len(np.unique(together.items, axis=0)) > 30
    for seed in (0, 17, 49):
        alone = stage(requests([seed]), given.take(np.array([0])))
        assert alone.items.tolist() == together.items[[seed]].tolist()
        assert alone.propensities.tolist() == together.propensities[[seed]].tolist()


def test_lists_that_are_not_drawn_are_the_greedy_ones_in_the_same_batch() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    ruleset = made(
        [{"kind": "at_most", "column": "brand", "n": 1}],
        catalogue([str(n % 7) for n in range(30)], [["x"]] * 30),
    )
    rerank = RerankConfig(trade_off=0.5)
    stage = draw(vectors, Drawing(temperature=0.5, epsilon=0.1, top=20), 5, rerank, ruleset)
    given = candidates(list(range(30)), np.linspace(1, 0, 30).tolist(), 4)
    mixed = stage(requests([5, -1, 6, -1]), given)
    alone = given.take(np.array([0]))
    for one in greedy(vectors, rerank, 5, ruleset):
        alone = one(requests(None), alone)
    assert mixed.items[[1, 3]].tolist() == alone.items.tolist() * 2
    assert (mixed.propensities[[1, 3]] == 1).all()
    assert mixed.items[0].tolist() == stage(requests([5]), given.take(np.array([0]))).items[0].tolist()
    assert (mixed.propensities[[0, 2]] < 1).any()


def test_what_must_stand_behind_is_not_drawn_before() -> None:
    """Items below a floor, and those that a boost sends to the back."""
    vectors = np.eye(6, dtype=np.float32)
    given = candidates([0, 1, 2, 3, 4, 5], [0.3, 0.2, 0.1, -0.9, -0.95, -0.99], 200)
    tiers = np.tile(np.array([0, 0, 0, 1, 1, 2], dtype=np.int8), (200, 1))
    stage = draw(vectors, Drawing(temperature=5.0, epsilon=0.5, top=50), 6)
    listed = stage(requests(np.arange(200)), replace(given, tiers=tiers))
    assert (np.sort(listed.items[:, :3]) == [0, 1, 2]).all()
    assert (np.sort(listed.items[:, 3:5]) == [3, 4]).all()
    assert len(np.unique(listed.items, axis=0)) == 12
    ruleset = made(
        [{"kind": "boost", "where": {"brand": "b"}, "to": "back"}],
        catalogue(["a", "b", "a", "a", "a", "b"], [["x"]] * 6),
    )
    stage = draw(vectors, Drawing(temperature=5.0, epsilon=0.5, top=50), 6, ruleset=ruleset)
    listed = stage(requests(np.arange(200)), given)
    assert (np.sort(listed.items[:, 4:]) == [1, 5]).all()
