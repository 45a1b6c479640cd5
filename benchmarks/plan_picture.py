"""Machines and waiting by requests a second, a line for each number of items, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_COLOURS = ("#9db7d9", "#3465a4", "#20242c")
_SUPERSCRIPTS = {7: "10⁷", 8: "10⁸", 9: "10⁹"}


def draw(plans: Sequence[dict[str, Any]], path: Path) -> None:
    """Left, machines by rows (lines) and by lists (dashes); right, p99 without and with hedging."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, items in zip(_COLOURS, sorted({one["items"] for one in plans}), strict=False):
        mine = [one for one in plans if one["items"] == items]
        qps = [one["qps"] for one in mine]
        name = f"{_SUPERSCRIPTS.get(len(str(items)) - 1, f'{items:,}')} items"
        left.plot(
            qps, [one["rows"]["machines"] for one in mine], "o-", color=colour, label=name, markersize=4
        )
        left.plot(qps, [one["lists"]["machines"] for one in mine], "o--", color=colour, markersize=3)
        right.plot(qps, [one["rows"]["p99"] for one in mine], "o-", color=colour, label=name, markersize=4)
        right.plot(qps, [one["rows"]["hedged_p99"] for one in mine], "o:", color=colour, markersize=3)
    for axes, title in (
        (left, "machines (line: shards by rows, dashes: by lists)"),
        (right, "p99, milliseconds (line: asked once, dots: hedged after p95)"),
    ):
        axes.set_xscale("log")
        axes.set_xlabel("requests a second")
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#e4e6ea")
        axes.legend(frameon=False, fontsize=9)
    left.set_yscale("log")
    right.set_ylim(bottom=0)
    figure.savefig(path, dpi=140)
