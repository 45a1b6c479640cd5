"""A run's rows beside the published ones, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.quality.published import TABLES
from benchmarks.quality.result import Result

#: What is shown of a data set's rows; of the others NDCG@10 and Recall@10.
COLUMNS = {
    "amazon-beauty": ("ndcg@10", "hr@10"),
    "amazon-sports": ("ndcg@10", "hr@10"),
    "gowalla": ("ndcg@20", "recall@20"),
    "mq2008": ("ndcg@10",),
    "trivago": ("ndcg@10", "mrr@10"),
}


def show(results: Sequence[Result], out: Console) -> None:
    """Published rows, then ours: the mean over the seeds, with the first seed's interval and the spread."""
    first = results[0]
    columns = COLUMNS.get(first.dataset, ("ndcg@10", "recall@10"))
    name = f"{first.dataset} {first.label}".strip()
    title = f"{name}: {first.requests:,} requests; {first.protocol}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
        table.add_column("95%" if len(results) == 1 else f"95%, {len(results)} seeds", justify="right")
    for line in TABLES.get(first.dataset, ()):
        cells = [cell for name in columns for cell in (_short(line.figures.get(name)), "")]
        table.add_row(f"{line.model} ({line.source})", *cells, style="dim")
    for row, figures in first.rows.items():
        cells = []
        for name in columns:
            values = [r.rows[row][name].mean for r in results if name in r.rows.get(row, {})]
            if name not in figures:  # a list shorter than the depth
                cells += ["", ""]
                continue
            spread = f" ±{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
            bounds = f"{_short(figures[name].lo)} {_short(figures[name].hi)}"
            cells += [_short(float(np.mean(values))), bounds + spread]
        table.add_row(row, *cells)
    out.print(table)
    for comparison in first.comparisons:
        out.print(f"• {comparison.sentence}", highlight=False)
    for note in first.notes:
        out.print(f"• {note}", highlight=False)
    if first.fallback:
        out.print(f"• the retrieval order is kept: {', '.join(first.fallback)}", highlight=False)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in first.seconds.items())
    out.print(
        f"{took}; {first.processor_seconds or 0:,.0f} s of processors, {first.peak_memory_mib:,.0f} MiB at "
        f"most; {first.machine}",
        style="dim",
        highlight=False,
    )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".removeprefix("0")
