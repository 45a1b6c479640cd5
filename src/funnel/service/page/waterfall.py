"""Contributions of features to a score as bars, each beginning where the one before it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Features that have a bar of their own; the others have one together.
MOST = 12

#: Pixels: the width of the bars, and the height of a row.
WIDTH, ROW = 300.0, 31


@dataclass(frozen=True)
class Bar:
    """One row. x, width: of its bar in pixels, from the left. value: what it adds. total: with it."""

    name: str
    value: float
    total: float
    x: float
    width: float


def bars(contributions: Mapping[str, float]) -> list[Bar]:
    """Rows from `base` to the score. contributions: `base` and a number a feature, which add up to it."""
    base = contributions["base"]
    features = [(name, value) for name, value in contributions.items() if name != "base" and value]
    features.sort(key=lambda pair: -abs(pair[1]))
    rest = features[MOST:]
    steps = features[:MOST] + ([(f"{len(rest)} others", sum(value for _, value in rest))] if rest else [])
    totals = [base]
    for _, value in steps:
        totals.append(totals[-1] + value)
    low, high = min(totals), max(totals)
    scale = WIDTH / (high - low) if high > low else 0.0
    return [
        Bar(name, value, after, (min(before, after) - low) * scale, max(abs(value) * scale, 1.0))
        for (name, value), before, after in zip(steps, totals, totals[1:], strict=False)
    ]
