"""The report for a terminal of 100 columns: quality, cost, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from funnel import plugins
from funnel.evaluation.compare import label, short
from funnel.evaluation.report import Report
from funnel.evaluation.rows import Row, Value

_NONE = "\N{EN DASH}"


def as_table(report: Report) -> RenderableType:
    """Two tables and the sentences, for `rich.console.Console.print`; fits in 100 columns."""
    subject = report.subject
    head = Text.assemble(
        (subject.dataset, "bold"),
        f"  {report.requests:,} requests, {report.targets:,} targets, {report.items:,} items\n",
        (subject.rules, "dim"),
    )
    return Group(head, Text(), _quality(report), Text(), _cost(report), Text(), *_sentences(report))


def _quality(report: Report) -> Table:
    k = report.k
    names = [f"ndcg@{k}", f"recall@{k}", f"mrr@{k}", f"map@{k}"]
    table = _table(
        "",
        "NDCG@" + str(k),
        f"{report.level:.0%} interval",
        *(label(n).replace("@", "\n@") for n in names[1:]),
    )
    for title in ("recall\nof all", "cover-\nage", "popu-\nlarity", "lost\nhere"):
        table.add_column(title, justify="right")
    if any(row.share_of_ideal is not None for row in report.rows):
        table.add_column("of\nideal", justify="right")
    best = {name: _best(report.rows, name) for name in names}
    for row in report.rows:
        bounds = row.metrics[names[0]]
        cells: list[RenderableType] = [
            Text(row.name),
            _value(row, names[0], best),
            Text(f"{short(bounds.lo)} {short(bounds.hi)}", "dim"),
            *(_value(row, name, best) for name in names[1:]),
            short(row.recall.mean, digits=3),
            short(row.coverage, digits=3),
            short(row.popularity.percentile, digits=3),
            _NONE if row.lost is None else f"{row.lost:,}",
        ]
        ideal = [] if row.share_of_ideal is None else [f"{row.share_of_ideal:.0%}"]
        table.add_row(*cells, *ideal, end_section=_last_of_kind(report.rows, row), style=_style(row))
    level = [short(report.chance[name]) for name in names]
    table.add_row("chance", level[0], "", *level[1:], style="dim")
    return table


def _cost(report: Report) -> Table:
    table = _table("", "in", "out", "p50 ms", "p95 ms", "p99 ms", "requests/s")
    for row in report.rows:
        if row.latency is None:
            continue
        times = [f"{ms:.2f}" for ms in (row.latency.p50, row.latency.p95, row.latency.p99)]
        cells = [f"{row.candidates_in:,.0f}", f"{row.candidates_out:,.0f}", *times, f"{row.throughput:,.0f}"]
        table.add_row(row.name, *cells, end_section=_last_of_kind(report.rows, row), style=_style(row))
    times = [f"{ms:.2f}" for ms in (report.latency.p50, report.latency.p95, report.latency.p99)]
    table.add_row(
        "whole funnel", f"{report.items:,}", _out(report), *times, f"{report.throughput:,.0f}", style="bold"
    )
    return table


def _out(report: Report) -> str:
    return f"{report.rows[-1].candidates_out:,.0f}"


def _sentences(report: Report) -> list[Text]:
    said = [Text(f"• {comparison.sentence}") for comparison in report.comparisons]
    if report.search_recall:
        shares = ", ".join(f"{share:.1%} of the first {k}" for k, share in report.search_recall.items())
        said.append(Text(f"• approximate search finds {shares} that exact search finds"))
    said += [Text(f"• {sentence}") for sentence in _further(report)]
    return said + [Text(f"• {note}") for note in report.notes]


def _further(report: Report) -> list[str]:
    """Metrics that have no column: those of plugins, of each stage."""
    own, final = plugins.names("metric", own=True), report.rows[-1].metrics
    names = [name for name in final if name.endswith(f"@{report.k}") and name.partition("@")[0] not in own]
    stages = [row for row in report.rows if row.kind == "stage"]
    return [
        f"{label(name)}: {', '.join(f'{row.name} {short(row.metrics[name].mean)}' for row in stages)}"
        + (f", chance {short(report.chance[name])}" if name in report.chance else "")
        for name in names
    ]


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _best(rows: Sequence[Row], name: str) -> float:
    return max((row.metrics[name].mean for row in rows if row.kind != "ideal"), default=0.0)


def _value(row: Row, name: str, best: dict[str, float]) -> Text:
    value: Value = row.metrics[name]
    return Text(short(value.mean), "bold green" if row.kind != "ideal" and value.mean == best[name] else "")


def _last_of_kind(rows: Sequence[Row], row: Row) -> bool:
    following = rows[rows.index(row) + 1 :]
    return not following or (following[0].kind == "stage") != (row.kind == "stage")


def _style(row: Row) -> str:
    return "italic dim" if row.kind == "ideal" else ""
