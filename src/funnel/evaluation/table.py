"""The report for a terminal of 80 columns and more: quality, reach, cost, what follows, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from funnel import plugins
from funnel.evaluation.advice import gain
from funnel.evaluation.cold import Cold
from funnel.evaluation.compare import label, short
from funnel.evaluation.kinds import OfKind
from funnel.evaluation.losses import kept
from funnel.evaluation.report import Report
from funnel.evaluation.rows import Row, Value
from funnel.evaluation.some import ALL
from funnel.terminal import FittingTable, literal, plain

_NONE = "\N{EN DASH}"


def as_table(report: Report) -> RenderableType:
    """The tables, the sentences and the advice, for `rich.console.Console.print`; fits in 80 columns."""
    subject = report.subject
    head = Text.assemble(
        (report.title, "bold"),
        f"  {report.requests:,} requests, {report.targets:,} targets, {report.items:,} items\n",
        (subject.rules, "dim"),
    )
    tables = (_quality(report), Text(), _reach(report), *_of_some(report), Text(), _cost(report))
    return Group(head, Text(), *tables, Text(), *_sentences(report), *_advice(report))


def _quality(report: Report) -> FittingTable:
    k = report.k
    names = [f"ndcg@{k}", f"recall@{k}", f"mrr@{k}", f"map@{k}"]
    ideal = any(row.share_of_ideal is not None for row in report.rows)
    titles = [label(names[0]), f"{report.level:.0%} interval", *map(label, names[1:])]
    worth = any(row.share_of_value is not None for row in report.rows)
    expected = any(row.expected_value is not None for row in report.rows)
    more = {"of ideal": ideal, "of value": worth, "exp. value": expected}
    table = plain("", *titles, *(title for title, there in more.items() if there))
    best = {name: _best(report.rows, name) for name in names}
    for row in report.rows:
        bounds = row.metrics[names[0]]
        cells: list[RenderableType] = [
            _value(row, names[0], best),
            Text(f"{short(bounds.lo)} {short(bounds.hi)}", "dim"),
            *(_value(row, name, best) for name in names[1:]),
            *([] if row.share_of_ideal is None else [f"{row.share_of_ideal:.0%}"]),
            *([] if row.share_of_value is None else [f"{row.share_of_value:.0%}"]),
            *([] if not expected else [_NONE if row.expected_value is None else f"{row.expected_value:.4g}"]),
        ]
        table.add_row(row.name, *cells, end_section=_last_of_kind(report.rows, row), style=_style(row))
    level = [short(report.chance[name]) for name in names]
    table.add_row("chance", level[0], "", *level[1:], style="dim")
    return table


def _reach(report: Report) -> FittingTable:
    """Recall of the whole lists, targets lost at each stage, and how much of the catalogue is shown."""
    table = plain("", "recall of all", "targets lost here", "coverage", "popularity")
    for row in report.rows:
        cells = [
            short(row.recall.mean, digits=3),
            _NONE if row.lost is None else f"{row.lost:,}",
            short(row.coverage, digits=3),
            short(row.popularity.percentile, digits=3),
        ]
        table.add_row(row.name, *cells, end_section=_last_of_kind(report.rows, row), style=_style(row))
    return table


def _of_some(report: Report) -> list[RenderableType]:
    """Figures of targets of each kind of event, and of those without an event, a table each; nothing where
    there are none."""
    tables: list[RenderableType] = []
    parts = {each.kind: each for each in report.kinds} | ({"cold items": report.cold} if report.cold else {})
    for title, part in parts.items():
        if part.targets:
            tables += [Text(), _of_part(report, title, part)]
    return tables


def _of_part(report: Report, title: str, part: Cold | OfKind) -> FittingTable:
    names = [f"ndcg@{report.k}", f"recall@{report.k}"]
    titles = (label(names[0]), f"{report.level:.0%} interval", label(names[1]), "recall of all")
    table = plain(title, *titles)
    for row in report.rows:
        ndcg, recall, whole = (part.rows[row.name][name] for name in (*names, ALL))
        bounds = Text(f"{short(ndcg.lo)} {short(ndcg.hi)}", "dim")
        cells = (short(ndcg.mean), bounds, short(recall.mean), short(whole.mean, digits=3))
        table.add_row(row.name, *cells, end_section=_last_of_kind(report.rows, row), style=_style(row))
    level = [short(part.chance[name]) for name in names]
    table.add_row("chance", level[0], "", level[1], "", style="dim")
    return table


def _cost(report: Report) -> FittingTable:
    table = plain("", "in", "out", "p50 ms", "p95 ms", "p99 ms", "requests/s")
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
    lines = [literal(f"• {comparison.sentence}") for comparison in report.comparisons]
    lines += [literal(f"• {each.sentence}") for each in report.kinds]
    lines += [] if report.cold is None else [literal(f"• {report.cold.sentence}")]
    if report.search_recall:
        shares = ", ".join(f"{share:.1%} of the first {k}" for k, share in report.search_recall.items())
        lines.append(literal(f"• approximate search finds {shares} that exact search finds"))
    lines += [literal(f"• {each.sentence}") for each in report.probabilities]
    lines += [literal(f"• {sentence}") for sentence in _further(report)]
    return lines + [literal(f"• {note}") for note in report.notes]


def _advice(report: Report) -> list[Text]:
    """The share of the targets that each stage keeps, and the report's advice."""
    shares = ", ".join(f"{stage.stage} {stage.share:.1%}" for stage in kept(report))
    lines = [literal(f"• share of the targets that is left after each stage: {shares}")]
    if report.advice:
        lines += [Text(), Text("what to do next, the largest gain first", "bold")]
    for number, advice in enumerate(report.advice, 1):
        lines.append(
            Text.assemble(f"{number}. ", (f"{advice.key}{gain(advice)}", "bold"), f"  {advice.sentence}")
        )
    return lines


def _further(report: Report) -> list[str]:
    """Metrics without a column in the tables, which are those of plugins: a sentence each, for all stages."""
    own, final = plugins.names("metric", own=True), report.rows[-1].metrics
    names = [name for name in final if name.endswith(f"@{report.k}") and name.partition("@")[0] not in own]
    stages = [row for row in report.rows if row.kind == "stage"]
    return [
        f"{label(name)}: {', '.join(f'{row.name} {short(row.metrics[name].mean)}' for row in stages)}"
        + (f", chance {short(report.chance[name])}" if name in report.chance else "")
        for name in names
    ]


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
