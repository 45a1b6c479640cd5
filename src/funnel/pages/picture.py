"""The funnel as shapes: what narrows, and how much of what people wanted is still in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from funnel.evaluation.report import Report
from funnel.evaluation.rows import Row

HEIGHT, GAP = 58, 5  # of a stage, and between two, in pixels
_LEFT, _WIDE, _NARROW = 150.0, 520.0, 64.0  # the funnel's left edge, widest and narrowest width


@dataclass(frozen=True)
class Layer:
    """One stage of the picture; coordinates in pixels."""

    name: str
    points: str  #: of the SVG polygon
    middle: float  #: x of its centre
    top: float
    shade: float  #: opacity of the accent colour
    candidates: str
    kept: float  #: targets still in it / all targets
    lost: int


def layers(report: Report) -> list[Layer]:
    """The stages from top to bottom. Widths are logarithmic in the number of candidates."""
    stages = [row for row in report.rows if row.kind == "stage"]
    return [_layer(report, row, i, len(stages)) for i, row in enumerate(stages)]


def _layer(report: Report, row: Row, i: int, n: int) -> Layer:
    top, middle = i * (HEIGHT + GAP), _LEFT + _WIDE / 2
    above = _width(row.candidates_in, report.items) / 2
    below = _width(row.candidates_out, report.items) / 2
    corners = [(-above, top), (above, top), (below, top + HEIGHT), (-below, top + HEIGHT)]
    return Layer(
        name=row.name,
        points=" ".join(f"{middle + x:.1f},{y:.1f}" for x, y in corners),
        middle=middle,
        top=top,
        shade=0.16 + 0.84 * (i / max(n - 1, 1)) ** 1.2,
        candidates=f"{row.candidates_out:,.0f}",
        kept=row.hits / max(report.targets, 1),
        lost=row.lost or 0,
    )


def _width(candidates: float, items: int) -> float:
    share = math.log1p(candidates) / math.log1p(max(items, 1))
    return _NARROW + (_WIDE - _NARROW) * min(share, 1.0)
