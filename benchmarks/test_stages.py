"""Each stage of a small bundle, for one request and for a batch of 256."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.serving.request import of_users
from funnel.types import Candidates

STAGES = ("retrieve", "filter", "rank", "rerank")


@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("stage", STAGES)
def test_stage(live: Live, benchmark: Any, stage: str, batch: int) -> None:
    funnel = live.contents.funnel()
    if stage not in funnel.names:
        pytest.skip(f"this bundle has no stage {stage}: the ranker was not better than the retrieval order")
    requests = of_users(live.contents, np.arange(batch))
    steps = funnel.trace(requests)
    place = funnel.names.index(stage)
    before = steps[place - 1].candidates if place else Candidates.empty(batch)
    left = benchmark(funnel.stages[place], requests, before)
    assert len(left) == batch


def test_recommend(live: Live, benchmark: Any) -> None:
    answer = benchmark(live.recommend, 7)
    assert len(answer.items) == 10
