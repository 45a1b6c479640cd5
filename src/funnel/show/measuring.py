"""What was measured: quality by stage, a data set, latency, and kinds of index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from funnel.evaluation import as_table
from funnel.profile.table import as_table as profile_table
from funnel.terminal import literal, say, table
from funnel.tune import advice

if TYPE_CHECKING:
    from funnel.bench import Measured
    from funnel.evaluation import Report
    from funnel.evaluation.frontier import Frontier
    from funnel.profile.figures import Profile


def report(report: Report, out: Console) -> None:
    """The report a stage."""
    out.print(as_table(report))


def profile(profile: Profile, out: Console) -> None:
    """A data set in figures."""
    out.print(profile_table(profile))


def bench(measured: Measured, out: Console) -> None:
    """Latency a stage, and throughput."""
    title = f"{measured.version}: {measured.requests} requests, one at a time, one thread"
    rows = table(title, "stage", "p50 ms", "p95 ms", "p99 ms")
    for name, at in measured.stages.items():
        rows.add_row(name, f"{at.p50:.2f}", f"{at.p95:.2f}", f"{at.p99:.2f}")
    total = measured.total
    rows.add_row("whole funnel", f"{total.p50:.2f}", f"{total.p95:.2f}", f"{total.p99:.2f}", style="bold")
    out.print(rows)
    out.print(literal(f"in batches of {measured.batch}: {measured.throughput:,.0f} requests a second"))
    out.print(literal(measured.machine), style="dim")


def frontier(frontier: Frontier, out: Console) -> None:
    """The kinds of index that no other is better than in everything, fastest first, and which to take."""
    title = f"{frontier.size:,} vectors of {frontier.dimension}, {frontier.queries} requests, one thread"
    columns = ("index", "parameters", f"recall@{frontier.k}", "ms", "MiB beside vectors", "s to build")
    rows = table(title, *columns, text=(1,))
    for point in frontier.best:
        rows.add_row(
            point.spec,
            " ".join(f"{name}={value}" for name, value in point.params.items()),
            f"{point.recall:.4f}",
            f"{point.ms:.3f}",
            f"{point.bytes / 2**20:.1f}",
            f"{point.build_seconds:.1f}",
            style="bold" if point == frontier.chosen else "",
        )
    out.print(rows)
    for spec, why in frontier.failed.items():
        out.print(literal(f"left out {spec}: {why}"), style="dim")
    for line in advice(frontier).splitlines():
        say(line, out)
