"""The chance of a list that somebody else drew."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.policies import Drawing
from funnel.stages.config import RerankConfig
from funnel.types import Requests
from tests.policies import slow
from tests.policies.worlds import candidates, draw, requests
from tests.rules.test_exact import cases, catalogue, cost_of, made, occasion, things

KINDS = [("mmr", 1.0), ("mmr", 0.6), ("dpp", 0.6)]


def at(seeds: list[int] | None, n: int, impressions: Any) -> Requests:
    asked, now = requests(seeds, n), occasion(impressions)
    return asked if now is None else replace(asked, occasion=now.take(np.zeros(len(asked), dtype=np.int64)))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(KINDS), st.integers(1, 6))
def test_the_chances_of_all_lists_are_one_and_of_those_that_cannot_be_nothing(
    case: Any, kind: tuple[str, float], top: int
) -> None:
    brands, tags, order, rules, k, impressions = case
    vectors = np.random.default_rng(1).normal(size=(len(brands), 3)).astype(np.float32)
    scores = np.linspace(1, 0, len(order)).tolist()
    rerank = RerankConfig(kind=kind[0], trade_off=kind[1])
    drawing = Drawing(temperature=0.3, epsilon=0.1, top=top)
    stage = draw(vectors, drawing, k, rerank, made(rules, catalogue(brands, tags)))
    known = things(brands, tags)
    by_priority = sorted(rules, key=lambda rule: -rule["priority"])
    may = slow.best_lists(
        [known[item] for item in order], k, [cost_of(rule, k, known, impressions) for rule in by_priority]
    )
    every = [one for n in range(min(k, len(order)) + 1) for one in permutations(order, n)]
    lists = np.full((len(every), k), -1, dtype=np.int32)
    for row, one in enumerate(every):
        lists[row, : len(one)] = one
    chances = stage.chances(at(None, len(every), impressions), candidates(order, scores, len(every)), lists)
    whole = chances.prod(axis=1)
    assert whole.sum() == pytest.approx(1, abs=1e-9)
    possible = {one for one, chance in zip(every, whole, strict=True) if chance > 0}
    assert possible <= set(may)
    if top == 6 and not any(rule["kind"] in ("pin", "reserve", "boost") for rule in rules):
        assert possible == set(may)


@pytest.mark.parametrize(("kind", "trade_off"), KINDS)
def test_the_chances_of_drawn_lists_are_those_that_were_logged(kind: str, trade_off: float) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    rules = [
        {"kind": "at_most", "column": "brand", "n": 2, "name": "two"},
        {"kind": "at_least", "where": {"tags": "y"}, "n": 2, "name": "some"},
        {"kind": "boost", "where": {"brand": "1"}, "multiply": 1.5, "name": "more"},
    ]
    on = catalogue([str(n % 9) for n in range(60)], [["y"] if n % 6 == 0 else ["x"] for n in range(60)])
    rerank = RerankConfig(kind=kind, trade_off=trade_off, pool=20)
    for ruleset in (None, made(rules, on)):
        stage = draw(vectors, Drawing(temperature=0.2, epsilon=0.05, top=10), 8, rerank, ruleset)
        given_ = candidates(rng.permutation(60).tolist(), np.linspace(2, 0.1, 60).tolist(), 80)
        listed = stage(requests(list(range(80))), given_)
        found = stage.chances(requests(None, 80), given_, listed.items)
        assert found.tolist() == listed.propensities.tolist()
        other = listed.items.copy()
        other[:, 3] = 61  # nowhere
        assert (stage.chances(requests(None, 80), given_, other) == 0).all()
        short = listed.items.copy()
        short[:, -1] = -1
        assert (stage.chances(requests(None, 80), given_, short)[:, :-1] == 0).all()
