"""What is probable of the items of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.engine import RANK, Step
from funnel.ranker.calibration import Head
from funnel.stages import ExpectedValue
from funnel.types import Candidates, Features, Float32, Int32

_NOTHING: Mapping[str, float] = {}


def ranked(steps: Sequence[Step]) -> Candidates | None:
    """What the ranker left, with its scores; None where there is none, or a deadline left it out."""
    return next((step.candidates for step in steps if step.name == RANK and not step.skipped), None)


def probabilities(
    heads: Mapping[str, Head], scored: Candidates | None, items: Int32
) -> Sequence[Mapping[str, float]]:
    """For each item the probability of each kind of event, by head. Later stages may have other scores:
    probabilities go by the ranker's own.

    scored: the ranker's candidates of the one request. items: int32 [n], of that list.
    """
    if not heads or scored is None or not len(items):
        return [_NOTHING] * len(items)
    scores, further = _scores(items, scored)
    columns = [head(further.get(name, scores)).tolist() for name, head in heads.items()]
    there = np.isfinite(scores).tolist()
    return [
        dict(zip(heads, of_item, strict=True)) if known else _NOTHING
        for known, *of_item in zip(there, *columns, strict=True)
    ]


def values(
    expected: ExpectedValue | None, scored: Candidates | None, items: Int32, numbers: Features
) -> Sequence[tuple[Mapping[str, float], bool]]:
    """For each item its expected value and what that was made of, and whether it reaches every floor.

    numbers: of the context of the one request.
    """
    if expected is None or scored is None or not len(items):
        return [(_NOTHING, True)] * len(items)
    scores, further = _scores(items, scored)
    heads = {name: of[None] for name, of in further.items()}
    valued = expected.of(items[None], scores[None], numbers, heads)
    names = [*valued.parts, "expected"]
    columns = [*(part[0].tolist() for part in valued.parts.values()), valued.values[0].tolist()]
    rows = zip(*columns, strict=True)
    pairs = zip(rows, valued.reached[0].tolist(), strict=True)
    return [(dict(zip(names, row, strict=True)), reached) for row, reached in pairs]


def _scores(items: Int32, scored: Candidates) -> tuple[Float32, Mapping[str, Float32]]:
    """The ranker's score of each item, and those of its further heads."""
    listed = scored.items[0]
    further = {name: scores_of(items, listed, of[0]) for name, of in scored.head_scores.items()}
    return scores_of(items, listed, scored.scores[0]), further


def scores_of(items: NDArray[Any], listed: Int32, scores: Float32) -> Float32:
    """The score of each item in a list that has it, NaN where it has not: float32 [n]."""
    return _look_up(items, listed, scores)


@compiled
def _look_up(items: Any, listed: Any, scores: Any) -> Any:
    out = np.full(len(items), np.nan, dtype=np.float32)
    for at in range(len(items)):
        for position in range(len(listed)):
            if listed[position] == items[at]:
                out[at] = scores[position]
                break
    return out
