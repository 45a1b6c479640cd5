"""What the command line prints: answers, bundles and timings as rich tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from funnel.evaluation import as_table
from funnel.profile.table import as_table as profile_table
from funnel.serving.reasons import in_words
from funnel.terminal import table
from funnel.tune import advice

if TYPE_CHECKING:
    from funnel.artifacts import Manifest
    from funnel.bench import Measured
    from funnel.evaluation import Report
    from funnel.evaluation.frontier import Frontier
    from funnel.gates import Verdict
    from funnel.gates.comparable import Marked
    from funnel.gates.diff import BundleDifference
    from funnel.pipeline.build import Built
    from funnel.profile.figures import Profile
    from funnel.serving.live import Live
    from funnel.serving.response import Answer


def report(found: Report, out: Console) -> None:
    """The report a stage."""
    out.print(as_table(found))


def profile(found: Profile, out: Console) -> None:
    """A data set in figures."""
    out.print(profile_table(found))


def published(built: Built, out: Console) -> None:
    """Where things are now."""
    out.print(f"published  {built.folder}", markup=False, highlight=False, soft_wrap=True)
    out.print(f"report     {built.folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)


def answer(found: Answer, live: Live, out: Console) -> None:
    """One user's items, with where they came from and why."""
    contents = live.contents
    title = contents.catalogue.title
    made = table(f"user {found.user_id}", "item", "score", "found by", "because", text=(2, 3))
    for item in found.items:
        sources = " ".join(f"{name}#{rank}" for name, rank in item.sources.items())
        because = ", ".join(in_words(code, contents) for code in item.reasons)
        made.add_row(title(item.item_id), f"{item.score:.3f}", sources, because)
    out.print(made)
    latest = [title(item) for item in live.history(found.user_id)[-5:]]
    if latest:
        out.print(f"  latest interactions: {', '.join(latest)}", style="dim", highlight=False, markup=False)
    if found.reasons:
        out.print(f"  reason codes: {', '.join(found.reasons)}", style="dim", highlight=False, markup=False)
    total = sum(found.milliseconds.values())
    out.print(f"  bundle {found.version}, {total:.1f} ms\n", style="dim", highlight=False, markup=False)


def explanation(contributions: dict[str, float], out: Console, most: int = 12) -> None:
    """The largest SHAP contributions."""
    made = table("why the first item is first (SHAP)", "feature", "contribution")
    base = contributions.get("base", 0.0)
    ordered = [pair for pair in contributions.items() if pair[0] != "base"]
    for name, value in ordered[:most]:
        made.add_row(name, f"{value:+.3f}")
    rest = sum(value for _, value in ordered[most:])
    made.add_row(f"{max(0, len(ordered) - most)} others", f"{rest:+.3f}")
    made.add_row("base", f"{base:+.3f}")
    made.add_row("score", f"{sum(contributions.values()):+.3f}", style="bold")
    out.print(made)


def values(answer: Answer, out: Console) -> None:
    """What each item's expected value is made of; nothing where lists are not ordered by one."""
    items = [item for item in answer.items if item.value]
    if not items:
        return
    names = list(items[0].value)
    parts = table("what the order goes by", "item", *names)
    for item in items:
        parts.add_row(str(item.item_id), *(f"{item.value[name]:.4g}" for name in names))
    out.print(parts)


def manifest(live: Live, out: Console) -> None:
    """What a bundle is."""
    found, contents = live.manifest, live.contents
    made = table(live.version, "what", "value", text=(1,))
    made.add_row("made", found.created)
    made.add_row("fingerprint", found.fingerprint[:16])
    for name, (start, end) in found.data_window.items():
        made.add_row(f"{name} window", f"{start} to {end}")
    made.add_row("items, users", f"{len(contents.catalogue.ids):,}, {len(contents.users.ids):,}")
    made.add_row("index", contents.index.spec)
    made.add_row("sources", ", ".join(f"{name} {weight:.2f}" for name, weight in contents.weights.items()))
    made.add_row(
        "order", "the ranker's" if contents.ranker else f"of retrieval ({', '.join(found.fallback)})"
    )
    for name, value in found.metrics.items():
        made.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    size = sum(entry.bytes for entry in found.files.values())
    made.add_row("files", f"{len(found.files)}, {size / 2**20:.1f} MiB, all verified")
    out.print(made)
    if contents.ranker is not None:
        importance(live, out)


def importance(live: Live, out: Console, most: int = 12) -> None:
    """What the ranker looks at most."""
    assert live.contents.ranker is not None
    frame = live.contents.ranker.importance()
    made = table("what the ranker looks at", "feature", "share of gain")
    for row in frame.head(most).to_dict("records"):
        made.add_row(str(row["feature"]), f"{row['gain'] / frame['gain'].sum():.1%}")
    out.print(made)


def bench(measured: Measured, out: Console) -> None:
    """Latency a stage, and throughput."""
    title = f"{measured.version}: {measured.requests} requests, one at a time, one thread"
    made = table(title, "stage", "p50 ms", "p95 ms", "p99 ms")
    for name, at in measured.stages.items():
        made.add_row(name, f"{at.p50:.2f}", f"{at.p95:.2f}", f"{at.p99:.2f}")
    total = measured.total
    made.add_row("whole funnel", f"{total.p50:.2f}", f"{total.p95:.2f}", f"{total.p99:.2f}", style="bold")
    out.print(made)
    out.print(
        f"in batches of {measured.batch}: {measured.throughput:,.0f} requests a second", highlight=False
    )
    out.print(measured.machine, style="dim", highlight=False, markup=False)


def bundles(
    found: Sequence[Manifest], marks: Mapping[str | None, str], measured: Sequence[Marked], out: Console
) -> None:
    """What is in a store. marks: which version is current, which previous. measured: on what, for each."""
    metrics = sorted({name for one in found for name in one.metrics})
    made = table("bundles", "version", "", "made", *metrics, "on", "MiB", text=(1,))
    for one, on in zip(found, measured, strict=True):
        figures = [f"{value:.4f}" if (value := one.metrics.get(name)) is not None else "" for name in metrics]
        size = sum(entry.bytes for entry in one.files.values()) / 2**20
        style = "bold" if marks.get(one.version) == "current" else None
        mark = marks.get(one.version, "")
        made.add_row(one.version, mark, one.created[:16], *figures, on.mark, f"{size:.1f}", style=style)
    out.print(made)
    for line in _measured_on(measured):
        out.print(line, style="dim", highlight=False, markup=False)


def _measured_on(measured: Sequence[Marked]) -> list[str]:
    """What the marks stand for, and which figures are not to be compared."""
    said = {one.mark.rstrip("0123456789"): one.rules for one in measured}
    lines = [f"on {mark}: {rules or 'a report that cannot be read'}" for mark, rules in said.items()]
    if len(said) > 1:
        lines.append("figures with different letters are of different tasks: do not compare them")
    if len({one.mark for one in measured}) > len(said):
        lines.append(
            "a letter's numbers are other test windows or data: a difference may be the days' and not the "
            "bundle's; gates ask both the same requests"
        )
    return lines


def verdict(found: Verdict, out: Console) -> None:
    """A line a gate; what failed comes out red."""
    beside = f"beside {found.beside}" if found.beside else "with nothing to compare it with"
    made = table(f"{found.version}, {beside}", "gate", "found", "", text=(1,))
    for one in found.findings:
        mark = Text("passed", "green") if one.passed else Text("failed", "bold red")
        made.add_row(one.gate, one.sentence, mark)
    out.print(made)


def difference(found: BundleDifference, out: Console) -> None:
    """How two bundles differ."""
    made = table("", "what", found.a, found.b, text=(1, 2))
    for name, pair in found.metrics.items():
        made.add_row(name, *(f"{value:.4f}" if value is not None else "" for value in pair))
    for name, pair in found.config.items():
        made.add_row(f"config {name}", *(str(value) for value in pair))
    for name, change in {"features": found.features, "items": found.items, "users": found.users}.items():
        gone = f"{change.gone:,} only here {', '.join(change.examples_gone)}".rstrip()
        new = f"{change.new:,} only here {', '.join(change.examples_new)}".rstrip()
        made.add_row(f"{name}, {change.shared:,} shared", gone, new)
    out.print(made)
    if found.unlike:
        out.print("the figures are not of the same requests, do not compare them:", style="bold yellow")
        for one in found.unlike:
            out.print(f"  {one}", highlight=False, markup=False)
    said = found.answers
    score = "" if said.score is None else f", scores of shared items {said.score:.4f} apart"
    out.print(
        f"on the same {said.requests:,} requests: {said.overlap:.1%} of the first {said.k} are shared, "
        f"{said.same_first:.1%} have the same first item, {said.same_list:.1%} the same list{score}",
        highlight=False,
    )


def frontier(found: Frontier, out: Console) -> None:
    """The kinds of index that no other is better than in everything, fastest first, and which to take."""
    title = f"{found.size:,} vectors of {found.dimension}, {found.queries} requests, one thread"
    columns = ("index", "parameters", f"recall@{found.k}", "ms", "MiB beside vectors", "s to build")
    made = table(title, *columns, text=(1,))
    for point in found.best:
        made.add_row(
            point.spec,
            " ".join(f"{name}={value}" for name, value in point.params.items()),
            f"{point.recall:.4f}",
            f"{point.ms:.3f}",
            f"{point.bytes / 2**20:.1f}",
            f"{point.build_seconds:.1f}",
            style="bold" if point == found.chosen else "",
        )
    out.print(made)
    for spec, why in found.failed.items():
        out.print(f"left out {spec}: {why}", style="dim", markup=False, highlight=False)
    out.print(advice(found), markup=False, highlight=False, soft_wrap=True)
