"""A profile as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from funnel.pages import profile_plots as plots
from funnel.pages import template
from funnel.profile.columns import ColumnProfile
from funnel.profile.figures import Profile

_SPARK = (132, 26)  # width and height of a column's little histogram, pixels


def write_page(profile: Profile, path: Path) -> Path:
    """Write the page to `path` and return it; it needs no other file and no network.

    Raises FunnelError where the `plot` extra is not installed.
    """
    filters: template.Filters = {"count": lambda n: f"{n:,}", "percent": _percent, "number": _number}
    return template.write(path, "profile.html", _content(profile), filters)


def _content(profile: Profile) -> dict[str, Any]:
    """Everything that the template reads."""
    drawn = (plots.over_time, plots.long_tail, plots.sizes, plots.by_place)
    return {
        "profile": profile,
        "density": profile.rows["events"] / (profile.users.n * profile.items.n),
        "period": _period(profile),
        "plots": {draw.__name__: draw(profile) for draw in drawn},
        "sparks": {(column.table, column.name): _spark(column) for column in profile.columns},
        "spark": _SPARK,
    }


def _percent(share: float) -> str:
    """Never "0%" for something that is there, nor "100%" for something that is not all."""
    if 0 < share < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < share < 1 else f"{100 * share:.1f}%"


def _number(value: float) -> str:
    """With commas from 10,000, so that a year looks like one."""
    return f"{value:.6g}" if abs(value) < 10_000 or abs(value) >= 1e15 else f"{value:,.0f}"


def _period(profile: Profile) -> str:
    """The length of a bar of events over time, in words."""
    if profile.span is None:
        return ""
    days = profile.span.days / len(profile.span.counts)
    for unit, length in (("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440)):
        if days >= 2 * length:
            return f"{days / length:.3g} {unit}"
    return f"{days * 86_400:.3g} seconds"


def _spark(column: ColumnProfile) -> list[tuple[float, float, float, float]]:
    """Rectangles (x, y, width, height) of a number column's histogram."""
    counts = column.numbers.counts if column.numbers else ()
    if not counts:
        return []
    width, height = _SPARK
    step = width / len(counts)
    bars = [count / max(counts) * height for count in counts]
    return [(i * step, height - bar, step - 1, bar) for i, bar in enumerate(bars)]
