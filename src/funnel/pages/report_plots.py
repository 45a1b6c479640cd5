"""The report's plots as SVG text: NDCG by row, recall by depth, latency by stage, the index's frontier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from funnel.evaluation.compare import label, short
from funnel.evaluation.reliability import Reliability
from funnel.evaluation.report import Report
from funnel.evaluation.rows import Row
from funnel.pages.drawing import ACCENT, INK, MUTED, empty_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIDDLE, LIGHT = "#8ba6e6", "#d3def6"  # of the accent


def ndcg(report: Report) -> str:
    """NDCG of every row with its interval, the chance level as a line."""
    metric = f"ndcg@{report.k}"
    chance = report.chance[metric]
    with empty_plot("ndcg", 5.6, _height(len(report.rows))) as plot:
        axes = plot.axes
        for y, row in enumerate(report.rows):
            _interval(axes, y, row, metric)
        axes.axvline(chance, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        _beside(axes, "chance", (chance, -0.75), (4, 0), color=MUTED, fontsize=8.5)
        _names(axes, [row.name for row in report.rows])
        right = 1.13 * max(max(row.metrics[metric].hi for row in report.rows), chance)
        axes.set_xlim(0, right or 1.0)
        axes.xaxis.set_major_formatter(lambda x, _: short(x, digits=2 if right > 0.1 else 3))
        axes.set_xlabel(label(metric))
    return plot.svg


def _interval(axes: Axes, y: float, row: Row, metric: str) -> None:
    """A row's figure: its interval, its mean, and that in writing."""
    value, colour = row.metrics[metric], _colour(row)
    axes.plot([value.lo, value.hi], [y, y], color=colour, linewidth=5, alpha=0.28, solid_capstyle="round")
    face = "white" if row.kind in ("ideal", "exact") else colour
    axes.plot(value.mean, y, "o", color=colour, markersize=6.5, markerfacecolor=face, markeredgewidth=1.5)
    _beside(axes, short(value.mean), (value.hi, y), (8, 0), color=colour)


def recall(report: Report) -> str:
    """Recall by depth: retrieval against exact search and the baselines."""
    first = next(row for row in report.rows if row.kind == "stage")
    drawn = [row for row in report.rows if row.kind in ("baseline", "exact")] + [first]
    with empty_plot("recall", 5.6, 3.4) as plot:
        axes = plot.axes
        for row in drawn:
            depths, shares = list(row.curve), list(row.curve.values())
            style: dict[str, Any] = {"color": _colour(row), "linewidth": 2.4 if row is first else 1.4}
            axes.plot(depths, shares, linestyle="--" if row.kind == "exact" else "-", **style)
        for row, y in _apart([(row, list(row.curve.values())[-1]) for row in drawn], 0.055):
            weight = "bold" if row is first else "normal"
            _beside(axes, row.name, (max(row.curve), y), (6, 0), color=_colour(row), weight=weight)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.grid(True, axis="y")
        axes.grid(False, axis="x")
        ticks = [k for k in (1, 10, 100, 1000, 10_000) if k <= max(first.curve)]
        axes.set_xticks(ticks, [f"{k:,}" for k in ticks])
        axes.minorticks_off()
        axes.tick_params(axis="y", colors=MUTED)
        axes.set_xlabel("items looked at, k")
        axes.set_ylabel("recall@k")
    return plot.svg


def latency(report: Report) -> str:
    """Milliseconds of one request by stage, and of the whole funnel."""
    bars = [(row.name, row.latency) for row in report.rows if row.kind == "stage" and row.latency]
    bars.append(("whole funnel", report.latency))
    with empty_plot("latency", 5.6, _height(len(bars))) as plot:
        axes = plot.axes
        for y, (_, time) in enumerate(bars):
            for value, colour in ((time.p99, LIGHT), (time.p95, MIDDLE), (time.p50, ACCENT)):
                axes.barh(y, value, height=0.5, color=colour, linewidth=0)
            text = f"{time.p50:.2f} · {time.p95:.2f} · {time.p99:.2f}"
            _beside(axes, text, (time.p99, y), (7, 0), color=MUTED)
        _names(axes, [name for name, _ in bars])
        axes.set_xlim(0, 1.45 * max(time.p99 for _, time in bars))
        axes.set_xlabel("milliseconds, one request at a time: p50 · p95 · p99")
    return plot.svg


def frontier(report: Report) -> str:
    """What the index misses against the milliseconds of a search, and exact search; empty where there is no
    index."""
    if not report.frontier:
        return ""
    *points, exact = report.frontier
    with empty_plot("frontier", 5.6, 3.4) as plot:
        axes = plot.axes
        axes.plot([p.ms for p in points], [p.recall for p in points], "o-", color=ACCENT, linewidth=2.4)
        axes.plot(exact.ms, 1.0, "o", color=INK, markerfacecolor="white", markersize=6.5, markeredgewidth=1.5)
        for point, name in ((points[-1], points[-1].spec), (exact, "exact search")):
            end = point is exact
            style = {"ha": "right", "color": INK} if end else {"va": "top", "color": ACCENT, "weight": "bold"}
            _beside(axes, name, (point.ms, point.recall), (0, -16) if end else (8, -4), **style)
        axes.set_xscale("log")
        axes.grid(True, axis="both")
        axes.set_ylim(top=1.01)
        axes.xaxis.set_major_formatter(lambda ms, _: f"{ms:g}")
        axes.minorticks_off()
        axes.tick_params(axis="y", colors=MUTED)
        axes.set_xlabel("milliseconds a search, one thread")
        axes.set_ylabel("share of exact search's items found")
    return plot.svg


def reliability(measured: Reliability) -> str:
    """What happened against what was predicted, a dot a bin with its interval; the line is where both are the
    same. Logarithmic: most candidates are improbable."""
    low = 0.5 * min(each.predicted for each in measured.bins if each.predicted > 0)
    high = min(1.0, 2 * max(max(each.predicted, each.happened.hi) for each in measured.bins))
    with empty_plot("reliability", 5.6, 3.4) as plot:
        axes = plot.axes
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for each in measured.bins:
            share, x = each.happened, max(each.predicted, low)
            axes.plot([x, x], [max(share.lo, low), max(share.hi, low)], color=ACCENT, linewidth=4, alpha=0.28)
            axes.plot(x, max(share.mean, low), "o", color=ACCENT, markersize=5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.grid(True, axis="both")
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
        axes.tick_params(axis="y", colors=MUTED)
        axes.set_xlabel("predicted")
        axes.set_ylabel("happened")
    return plot.svg


def _height(rows: int) -> float:
    return 0.65 + 0.34 * rows


def _beside(axes: Axes, text: str, at: tuple[float, float], by: tuple[float, float], **style: Any) -> None:
    """A text so many points from a place of the plot."""
    axes.annotate(text, at, by, textcoords="offset points", **{"va": "center", **style})


def _names(axes: Axes, names: list[str]) -> None:
    """Rows named on the left, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -1.0)
    axes.tick_params(axis="y", pad=8)


def _colour(row: Row) -> str:
    return {"stage": ACCENT, "exact": INK, "ideal": MUTED, "baseline": MUTED}[row.kind]


def _apart(ends: list[tuple[Row, float]], gap: float) -> list[tuple[Row, float]]:
    """Heights of labels, moved up from below until none covers another."""
    placed: list[tuple[Row, float]] = []
    for row, y in sorted(ends, key=lambda end: end[1]):
        placed.append((row, max(y, placed[-1][1] + gap) if placed else y))
    return placed
