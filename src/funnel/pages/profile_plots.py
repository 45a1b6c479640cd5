"""The plots of a profile's page, as SVG text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from funnel.pages.drawing import ACCENT, MUTED, empty_plot
from funnel.profile.figures import Profile
from funnel.profile.tail import Tail

if TYPE_CHECKING:
    from matplotlib.axes import Axes

USERS = "#7f9be0"


def over_time(profile: Profile) -> str:
    """Events in equal periods from the first to the last; empty text without a clock."""
    span = profile.span
    if span is None:
        return ""
    n = len(span.counts)
    with empty_plot("time", 11.6, 2.3, grid="y") as plot:
        axes = plot.axes
        axes.bar(range(n), span.counts, width=0.82, color=ACCENT, align="edge", linewidth=0)
        axes.set_xlim(0, n)
        axes.set_xticks([0, n], [span.first[:10], span.last[:10]])
        begin, end = axes.get_xticklabels()
        begin.set_horizontalalignment("left")
        end.set_horizontalalignment("right")
        axes.yaxis.set_major_formatter(_thousands)
        axes.locator_params(axis="y", nbins=4, integer=True)
    return plot.svg


def long_tail(profile: Profile) -> str:
    """Share of the events by share of the items, and of the users, the most frequent first."""
    with empty_plot("tail", 5.6, 3.3, grid="y") as plot:
        axes = plot.axes
        for name, tail, colour, y in (
            ("items", profile.items, ACCENT, 0.19),
            ("users", profile.users, USERS, 0.09),
        ):
            steps = len(tail.curve) - 1
            axes.plot([i / steps for i in range(steps + 1)], tail.curve, color=colour, linewidth=2)
            _key(axes, f"{name}, Gini {tail.gini:.2f}", colour, y)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.04)
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xlabel("of all items, or users")
        axes.set_ylabel("of all events")
    return plot.svg


def sizes(profile: Profile) -> str:
    """How many items, and users, have how many events."""
    with empty_plot("sizes", 5.6, 3.3, grid="y") as plot:
        axes = plot.axes
        bounds = sorted({bound for tail in (profile.users, profile.items) for bound, _ in tail.sizes})
        for tail, colour, shift in ((profile.items, ACCENT, -0.2), (profile.users, USERS, 0.2)):
            shares = _shares(tail, bounds)
            axes.bar([x + shift for x in range(len(bounds))], shares, width=0.4, color=colour, linewidth=0)
        step = 1 + len(bounds) // 9
        axes.set_xticks(range(0, len(bounds), step), [_bound(bound) for bound in bounds[::step]])
        axes.yaxis.set_major_formatter(_percent)
        axes.locator_params(axis="y", nbins=5)
        axes.set_xlabel("events, up to")
        _key(axes, "items", ACCENT, 0.94)
        _key(axes, "users", USERS, 0.85)
    return plot.svg


def by_place(profile: Profile) -> str:
    """Share of the rows shown at a place that were clicked; empty text without impressions."""
    if profile.impressions is None:
        return ""
    rates = [clicked / max(shown, 1) for shown, clicked in profile.impressions.by_place[:50]]
    with empty_plot("place", 5.6, 2.8, grid="y") as plot:
        axes = plot.axes
        axes.bar(range(1, len(rates) + 1), rates, width=0.72, color=ACCENT, linewidth=0)
        axes.set_xlim(0.4, len(rates) + 0.6)
        axes.locator_params(axis="x", integer=True)
        axes.yaxis.set_major_formatter(_percent)
        axes.locator_params(axis="y", nbins=4)
        axes.set_xlabel("place in the list, from 1")
        axes.set_ylabel("clicked")
    return plot.svg


def _key(axes: Axes, text: str, colour: str, y: float) -> None:
    """A name on the right at this height, in the colour of what it names."""
    axes.text(0.99, y, text, transform=axes.transAxes, ha="right", va="center", color=colour, weight="bold")


def _shares(tail: Tail, bounds: list[int]) -> list[float]:
    counts = dict(tail.sizes)
    return [counts.get(bound, 0) / tail.n for bound in bounds]


def _bound(bound: int) -> str:
    return str(bound) if bound < 1000 else f"{bound // 1024}k"


def _percent(value: float, _: float) -> str:
    return f"{value:.0%}"


def _thousands(value: float, _: float) -> str:
    return f"{value:,.0f}"
