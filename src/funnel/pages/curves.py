"""Recall against milliseconds: one curve a kind of search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from funnel.pages.drawing import ACCENT, HAIR, INK, MUTED, empty_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Curve(NamedTuple):
    """A kind of search: (recall, milliseconds) of each setting, and whether it is the one to look at."""

    name: str
    points: Sequence[tuple[float, float]]
    leading: bool = False


def draw_curves(curves: Sequence[Curve], path: Path, *, recall: str, goal: float) -> None:
    """Write the picture; its ending says of which kind. Misses are drawn by their logarithm, 1 at the right.

    recall: what the horizontal axis is called. goal: where a line stands.
    """
    height = max(3.6, 0.9 + 0.27 * len(curves))
    with empty_plot("frontier", 8.0, height) as plot:
        axes = plot.axes
        for curve in curves:
            colour = ACCENT if curve.leading else MUTED
            misses, times = zip(*sorted((_miss(at), ms) for at, ms in curve.points), strict=True)
            axes.plot(misses, times, "o-", color=colour, markersize=4, linewidth=2.2 if curve.leading else 1)
        axes.axvline(_miss(goal), color=INK, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_yscale("log")
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(max(high, 0.25), low / 6)
        ticks = [t for t in (0.2, 0.1, 0.05, 0.02, 0.01, 0.002) if t > low]
        axes.set_xticks([*ticks, _LEAST], [*(f"{1 - t:g}" for t in ticks), "all"])
        axes.minorticks_off()
        least, most = axes.get_ylim()
        marks = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5)]
        axes.set_yticks([mark for mark in marks if least <= mark <= most])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda ms, _: f"{ms:g}")
        axes.grid(True, axis="both")
        axes.set_xlabel(f"{recall} (line: the goal)")
        axes.set_ylabel("milliseconds a query, one thread")
        _name(axes, curves)
        axes.figure.savefig(path, dpi=150)  # type: ignore[union-attr]


#: Where nothing is missed.
_LEAST = 0.001


def _miss(recall: float) -> float:
    return max(1 - recall, _LEAST)


def _name(axes: Axes, curves: Sequence[Curve]) -> None:
    """Each curve's name at the right edge, moved up until none covers another."""
    ends = sorted(((max(curve.points), curve) for curve in curves), key=lambda end: end[0][1])
    low, high = (math.log(limit) for limit in axes.get_ylim())
    step = (high - low) * 1.05 / max(18, len(curves))
    heights: list[float] = []
    for (_, ms), _ in ends:
        heights.append(max(math.log(ms), heights[-1] + step) if heights else math.log(ms))
    above = max(0.0, heights[-1] - high)
    for ((recall, ms), curve), height in zip(ends, heights, strict=True):
        axes.annotate(
            curve.name, (_miss(recall), ms), (1.01, (height - above - low) / (high - low)),
            textcoords="axes fraction", va="center", color=ACCENT if curve.leading else MUTED,
            weight="bold" if curve.leading else "normal", fontsize=8.5,
            arrowprops={"arrowstyle": "-", "color": HAIR, "linewidth": 0.8},
        )  # fmt: skip
