"""The report as one self-contained HTML page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from funnel.evaluation.advice import gain
from funnel.evaluation.compare import label, short
from funnel.evaluation.report import Report
from funnel.evaluation.rows import Row
from funnel.pages import picture, template
from funnel.pages import report_plots as plots

_PLOTS = (plots.ndcg, plots.recall, plots.latency, plots.frontier)


class ExampleItem(TypedDict):
    """A recommended item in words."""

    title: str
    score: float
    sources: Sequence[str]
    reasons: Sequence[str]
    hit: NotRequired[bool]  #: the user took it afterwards


class ExampleUser(TypedDict):
    """A user, what they met before (latest last), and what they would be shown."""

    user: str
    history: Sequence[str]
    items: Sequence[ExampleItem]


def write_page(report: Report, folder: Path, examples: Sequence[ExampleUser] = ()) -> Path:
    """Write `report.html` into the folder and return its path; it needs no other file and no network.

    Raises FunnelError where the `plot` extra is not installed.
    """
    filters: template.Filters = {"short": short, "label": label, "gain": gain, "coded": coded}
    return template.write(folder / "report.html", "report.html", _content(report, examples), filters)


def coded(text: str) -> str:
    """A sentence as HTML: escaped, and what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _content(report: Report, examples: Sequence[ExampleUser]) -> dict[str, Any]:
    """Everything that the template reads."""
    return {
        "report": report,
        "metric": f"ndcg@{report.k}",
        "final": report.rows[-1],
        "columns": _columns(report),
        "best": {name: _best(report, name) for name in _columns(report)},
        "layers": picture.layers(report),
        "step": picture.HEIGHT + picture.GAP,
        "height": picture.HEIGHT,
        "reliability": [plots.reliability(each) for each in report.probabilities],
        "plots": {draw.__name__: draw(report) for draw in _PLOTS},
        "config": {name: json.dumps(value, indent=1) for name, value in report.config.items()},
        "examples": examples,
    }


def _columns(report: Report) -> list[str]:
    """Metrics of the table: everything at the first k, then the recall deeper down where some row has it."""
    k, *deeper = report.ks
    deep = [f"recall@{d}" for d in deeper if any(f"recall@{d}" in row.metrics for row in report.rows)]
    return [*(name for name in report.rows[-1].metrics if name.endswith(f"@{k}")), *deep]


def _best(report: Report, name: str) -> float:
    rows: list[Row] = [row for row in report.rows if row.kind != "ideal" and name in row.metrics]
    return max(row.metrics[name].mean for row in rows)
