"""What all plots have in common: colours, style, and an empty one to draw on, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from funnel.errors import FunnelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACCENT = "#2457c5"
INK, MUTED, HAIR = "#1c2127", "#6b7280", "#e4e6ea"

_STYLE = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font, can be found and read aloud
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": HAIR,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.grid": True,
    "grid.color": HAIR,
    "axes.axisbelow": True,
}


class Plot:
    """What a `with` block draws on, and its SVG afterwards."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def empty_plot(name: str, width: float, height: float, grid: Literal["x", "y"] = "x") -> Iterator[Plot]:
    """An empty plot in the house style, inches; its SVG is there when the block ends.

    grid: the axis that values are read from; "x" where the other one names rows. Raises FunnelError where
    matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise FunnelError('plots need matplotlib: pip install "funnel-rank[plot]"') from missing
    style = {"axes.grid.axis": grid, "ytick.color": INK if grid == "x" else MUTED, "svg.hashsalt": name}
    with mpl.rc_context(_STYLE | style):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        plot = Plot(figure.subplots())
        yield plot
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    plot.svg = text.getvalue()[text.getvalue().index("<svg") :]
