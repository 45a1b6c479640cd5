"""Small batches of candidates, and requests for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funnel.policies import Draw, Drawing
from funnel.rules import Ruleset
from funnel.stages import Diversify, Rules
from funnel.stages.config import RerankConfig
from funnel.stages.stage import Stage
from funnel.types import Candidates, Float32, Int64, Ragged, Requests


def requests(seeds: Sequence[int] | Int64 | None, n: int = 1) -> Requests:
    """Of nobody, without a history. seeds: None for n requests that draw nothing."""
    n = n if seeds is None else len(seeds)
    nothing = Ragged.from_lists([[]] * n)
    drawn = None if seeds is None else np.asarray(seeds, dtype=np.int64)
    return Requests(np.zeros(n, np.int32), np.zeros(n, np.int64), nothing, nothing, seeds=drawn)


def candidates(items: Sequence[int], scores: Sequence[float], n: int = 1) -> Candidates:
    """The same list n times, of one source."""
    shape = n, len(items), 1
    return Candidates(
        np.tile(np.array(items, dtype=np.int32), (n, 1)),
        np.tile(np.array(scores, dtype=np.float32), (n, 1)),
        ("towers",),
        np.zeros(shape, dtype=np.float32),
        np.zeros(shape, dtype=np.int32),
    )


def greedy(vectors: Float32, rerank: RerankConfig, k: int, ruleset: Ruleset | None) -> list[Stage]:
    """What a draw stands in place of."""
    wide = len(vectors) if ruleset is not None else k
    diversify = Diversify(vectors, rerank.trade_off, pool=max(rerank.pool, k), k=wide, kind=rerank.kind)
    return [diversify] if ruleset is None else [diversify, Rules(ruleset, k)]


def draw(
    vectors: Float32,
    drawing: Drawing,
    k: int,
    rerank: RerankConfig | None = None,
    ruleset: Ruleset | None = None,
) -> Draw:
    """The stage."""
    rerank = RerankConfig() if rerank is None else rerank
    return Draw(vectors, rerank, drawing, k, greedy=greedy(vectors, rerank, k, ruleset), ruleset=ruleset)
