"""The state of an experiment as one self-contained HTML page."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from funnel.experiments.judging import ArmResult, Judgement
from funnel.pages import template
from funnel.pages.drawing import ACCENT, INK, MUTED, empty_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (ACCENT, "#a04a12", "#3d7a4e", "#7a3d77")
_WARN = "#a04a12"


def write_page(judgement: Judgement, path: Path) -> Path:
    """Write the page to `path` and return it; it needs no other file and no network.

    Raises FunnelError where the `plot` extra is not installed.
    """
    filters: template.Filters = {"percent": percent, "number": lambda value: f"{value:.4g}"}
    return template.write(path, "experiment.html", _content(judgement), filters)


def percent(value: float | None) -> str:
    """A relative effect with its sign; nothing where there is none."""
    return "" if value is None else f"{100 * value:+.2f}%"


def _content(judgement: Judgement) -> dict[str, Any]:
    """Everything that the template reads."""
    return {
        "found": judgement,
        "over_time": over_time(judgement),
        "effects": effects(judgement),
        "primary": [each for each in judgement.comparisons if each.role == "primary"],
    }


def over_time(judgement: Judgement) -> str:
    """The primary metric's effect as it was known after each day, in its sequence; empty text before there
    is one."""
    drawn = [each for each in judgement.comparisons if each.role == "primary" and each.looks]
    if not drawn:
        return ""
    with empty_plot("sequence", 11.6, 3.6, grid="y") as plot:
        axes = plot.axes
        axes.axhline(0, color=INK, linewidth=1)
        for each, colour in zip(drawn, cycle(_COLOURS), strict=False):
            _band(axes, each, colour)
        axes.axvline(judgement.horizon, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_xlim(0.8, max(judgement.horizon, judgement.days) + 0.6)
        axes.set_ylim(*_limits(drawn))
        axes.locator_params(axis="x", integer=True)
        axes.yaxis.set_major_formatter(_share)
        axes.set_xlabel("day; the dotted line is the declared horizon")
    return plot.svg


def _band(axes: Axes, each: ArmResult, colour: str) -> None:
    there = [look for look in each.looks if None not in (look.relative, look.low, look.high)]
    days = [look.day for look in there]
    low, high = ([100 * (getattr(look, name) or 0) for look in there] for name in ("low", "high"))
    axes.fill_between(days, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(days, [100 * (look.relative or 0) for look in there], color=colour, linewidth=2.2, marker="o",
              markersize=4)  # fmt: skip
    if there:
        at = (days[-1], 100 * (there[-1].relative or 0))
        axes.annotate(each.arm, at, (6, 6), textcoords="offset points", color=colour, weight="bold")


def _limits(drawn: list[ArmResult]) -> tuple[float, float]:
    """So that the later three quarters of the days are read well: the first days are very wide."""
    wide = [
        100 * abs(bound)
        for each in drawn
        for look in each.looks[len(each.looks) // 4 :]
        for bound in (look.low, look.high)
        if bound is not None
    ]
    top = 1.15 * max(wide, default=1.0)
    return -top, top


def effects(judgement: Judgement) -> str:
    """All metrics at a glance: the relative effect, the interval of any day and that of the last."""
    drawn = [each for each in judgement.comparisons if each.relative is not None]
    if not drawn:
        return ""
    with empty_plot("effects", 11.6, 0.9 + 0.46 * len(drawn)) as plot:
        axes = plot.axes
        axes.axvline(0, color=INK, linewidth=1)
        for y, each in enumerate(drawn):
            _row(axes, y, each)
        axes.set_yticks(range(len(drawn)), [f"{each.metric} · {each.arm}" for each in drawn])
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.xaxis.set_major_formatter(_share)
        axes.set_xlabel("relative effect; thin: valid on any day, thick: on the last one alone")
    return plot.svg


def _row(axes: Axes, y: int, each: ArmResult) -> None:
    colour = {"worse": _WARN, "broken": _WARN}.get(each.state, MUTED if each.state == "open" else ACCENT)
    for bounds, width, alpha in (
        ((each.sequence_low, each.sequence_high), 1.6, 0.9),
        ((each.low, each.high), 6, 0.28),
    ):
        if None not in bounds:
            axes.plot([100 * (bound or 0) for bound in bounds], [y, y], color=colour, linewidth=width,
                      alpha=alpha, solid_capstyle="butt")  # fmt: skip
    axes.plot(100 * (each.relative or 0), y, "o", color=colour, markersize=6)
    if each.declared not in (None, each.relative):  # days came behind the last one
        axes.plot(100 * (each.declared or 0), y, "o", color=colour, markersize=6, markerfacecolor="none")
    if each.margin is not None:
        less = each.metric.split()[0] in ("milliseconds", "empty", "fewer")
        axes.plot(
            100 * each.margin * (1 if less else -1), y, "|", color=_WARN, markersize=16, markeredgewidth=2
        )


def _share(value: float, _: object) -> str:
    return f"{value:+g}%" if value else "0"
