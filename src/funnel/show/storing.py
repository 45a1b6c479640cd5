"""What is in a store: all of its bundles, and one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from funnel.terminal import literal, say, table

if TYPE_CHECKING:
    from funnel.artifacts import Manifest
    from funnel.gates.comparable import Marked
    from funnel.pipeline.build import Built
    from funnel.serving.live import Live


def published(built: Built, out: Console) -> None:
    """Where things are now."""
    say(f"published  {built.folder}", out)
    say(f"report     {built.folder / 'report.html'}", out)


def bundles(
    manifests: Sequence[Manifest], marks: Mapping[str | None, str], measured: Sequence[Marked], out: Console
) -> None:
    """What is in a store. marks: which version is current, which previous. measured: on what, for each."""
    metrics = sorted({name for manifest in manifests for name in manifest.metrics})
    rows = table("bundles", "version", "", "made", *metrics, "on", "MiB", text=(1,))
    for manifest, on in zip(manifests, measured, strict=True):
        figures = [
            f"{value:.4f}" if (value := manifest.metrics.get(name)) is not None else "" for name in metrics
        ]
        size = sum(entry.bytes for entry in manifest.files.values()) / 2**20
        style = "bold" if marks.get(manifest.version) == "current" else None
        mark = marks.get(manifest.version, "")
        rows.add_row(
            manifest.version, mark, manifest.created[:16], *figures, on.mark, f"{size:.1f}", style=style
        )
    out.print(rows)
    for line in _measured_on(measured):
        out.print(literal(line), style="dim")


def _measured_on(measured: Sequence[Marked]) -> list[str]:
    """What the marks stand for, and which figures are not to be compared."""
    rules_of = {marked.mark.rstrip("0123456789"): marked.rules for marked in measured}
    lines = [f"on {mark}: {rules or 'a report that cannot be read'}" for mark, rules in rules_of.items()]
    if len(rules_of) > 1:
        lines.append("figures with different letters are of different tasks: do not compare them")
    if len({marked.mark for marked in measured}) > len(rules_of):
        lines.append(
            "a letter's numbers are other test windows or data: a difference may be the days' and not the "
            "bundle's; gates ask both the same requests"
        )
    return lines


def manifest(live: Live, out: Console) -> None:
    """What a bundle is."""
    about, contents = live.manifest, live.contents
    rows = table(live.version, "what", "value", text=(1,))
    rows.add_row("made", about.created)
    rows.add_row("fingerprint", about.fingerprint[:16])
    for name, (start, end) in about.data_window.items():
        rows.add_row(f"{name} window", f"{start} to {end}")
    rows.add_row("items, users", f"{len(contents.catalogue.ids):,}, {len(contents.users.ids):,}")
    rows.add_row("index", contents.index.spec)
    rows.add_row("sources", ", ".join(f"{name} {weight:.2f}" for name, weight in contents.weights.items()))
    rows.add_row(
        "order", "the ranker's" if contents.ranker else f"of retrieval ({', '.join(about.fallback)})"
    )
    for name, value in about.metrics.items():
        rows.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    size = sum(entry.bytes for entry in about.files.values())
    rows.add_row("files", f"{len(about.files)}, {size / 2**20:.1f} MiB, all verified")
    out.print(rows)
    if contents.ranker is not None:
        importance(live, out)


def importance(live: Live, out: Console, most: int = 12) -> None:
    """What the ranker looks at most."""
    assert live.contents.ranker is not None
    frame = live.contents.ranker.importance()
    rows = table("what the ranker looks at", "feature", "share of gain")
    for row in frame.head(most).to_dict("records"):
        rows.add_row(str(row["feature"]), f"{row['gain'] / frame['gain'].sum():.1%}")
    out.print(rows)
