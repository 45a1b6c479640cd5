"""What a list under rules costs to draw: who surely cannot stand is looked for once, and who could further up
is mostly seen from the plan there."""

from __future__ import annotations

import numpy as np
import pytest

from funnel.policies import Drawing
from funnel.stages.config import RerankConfig
from tests.policies.worlds import candidates, draw, requests
from tests.rules.test_exact import catalogue, made

N, K, LISTS = 120, 10, 40


@pytest.mark.parametrize("least", [1, 3])
def test_searches_are_far_fewer_than_kinds_at_positions(least: int) -> None:
    rng = np.random.default_rng(4)
    brands = [str(int(brand)) for brand in rng.zipf(1.6, N) % 12]
    tags = [["y", "x"] if number % 17 == 16 else ["x", str(number % 4)] for number in range(N)]
    rules = [
        {"kind": "at_most", "column": "brand", "n": 2, "name": "brands", "strict": True},
        {"kind": "at_most", "column": "tags", "n": 4, "name": "tags"},
        {"kind": "at_least", "where": {"tags": "y"}, "n": least, "name": "some"},
    ]
    vectors = rng.normal(size=(N, 8)).astype(np.float32)
    stage = draw(
        vectors, Drawing(temperature=0.2, epsilon=0.05, top=50), K, RerankConfig(trade_off=0.7, pool=50),
        made(rules, catalogue(brands, tags)),
    )  # fmt: skip
    given = candidates(list(range(N)), np.linspace(2, 0, N).tolist(), LISTS)
    listed = stage(requests(list(range(LISTS))), given)
    assert (listed.propensities < 1).any(axis=1).all()
    kinds = len({(brands[item], *tags[item]) for item in range(50)})
    assert 0 < stage.searches < kinds * K * LISTS / 4
