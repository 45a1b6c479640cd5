"""Lists that are drawn under a rule of each kind: what compiles all that drawing and rules need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from funnel.catalogue.tables import Catalogue
from funnel.data.vocabulary import Vocabulary
from funnel.policies.config import Drawing
from funnel.policies.draw import Draw
from funnel.rules import Ruleset
from funnel.rules.config import Rule
from funnel.stages import Diversify, Rules, Stage
from funnel.stages.config import RerankConfig
from funnel.types import Candidates, Occasion, Ragged, Requests

_ITEMS, _K = 12, 4

_RULES: list[dict[str, Any]] = [
    {"kind": "at_most", "column": "brand", "n": 1},
    {"kind": "at_most", "column": "price", "n": 2},
    {"kind": "at_least", "where": {"tags": "new"}, "n": 1},
    {"kind": "pin", "item": 5, "position": 2},
    {"kind": "reserve", "where": {"tags": "new"}, "positions": [3]},
    {"kind": "boost", "where": {"brand": "b"}, "multiply": 2.0},
    {"kind": "apart", "column": "brand", "values": [["a", "b"]]},
    {"kind": "cap", "column": "brand", "shows": 2, "per": "1d"},
]


def draw_lists() -> None:
    """Draw a list for each kind of diversity, with rules and without, and make the best one beside it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "brand": pd.Series(["a", "b", "c", None] * (_ITEMS // 4), dtype="str"),
            "tags": [["new"], ["new", "old"], []] * (_ITEMS // 3),
            "price": rng.uniform(size=_ITEMS),
        }
    )
    rules = Ruleset(
        TypeAdapter(list[Rule]).validate_python(_RULES),
        Catalogue(Vocabulary.of(np.arange(_ITEMS)), frame, {}),
    )
    vectors = rng.normal(size=(_ITEMS, 3)).astype(np.float32)
    for ruleset in (None, rules):
        for rerank in (RerankConfig(trade_off=0.5), RerankConfig(trade_off=0.5, kind="dpp")):
            wide = _K if ruleset is None else _ITEMS
            diversify = Diversify(vectors, rerank.trade_off, pool=_ITEMS, k=wide, kind=rerank.kind)
            greedy: list[Stage] = [diversify] if ruleset is None else [diversify, Rules(ruleset, _K)]
            stage = Draw(vectors, rerank, Drawing(), _K, greedy=greedy, ruleset=ruleset)
            for seed in (-1, 1):
                stage(_request(seed), _candidates())
            stage.chances(_request(1), _candidates(), stage(_request(1), _candidates()).items)


def _request(seed: int) -> Requests:
    nothing, shown = Ragged.from_lists([[]]), Ragged.from_lists([[0, 1]])
    times = Ragged.from_lists([[0, 1]], np.int64)
    occasion = Occasion(np.array([2]), np.array([0]), shown, times, np.array([True]))
    row, time = np.zeros(1, np.int32), np.full(1, 2, dtype=np.int64)
    return Requests(row, time, nothing, nothing, seeds=np.array([seed]), occasion=occasion)


def _candidates() -> Candidates:
    shape = 1, _ITEMS, 1
    items, scores = np.arange(_ITEMS, dtype=np.int32)[None], np.linspace(2, 1, _ITEMS, dtype=np.float32)[None]
    return Candidates(items, scores, ("towers",), np.zeros(shape, np.float32), np.zeros(shape, np.int32))
