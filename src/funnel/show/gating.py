"""Whether a bundle may be served, and how two of them differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from funnel.terminal import literal, table

if TYPE_CHECKING:
    from funnel.gates import Verdict
    from funnel.gates.diff import BundleDifference


def verdict(verdict: Verdict, out: Console) -> None:
    """A line a gate; what failed comes out red."""
    beside = f"beside {verdict.beside}" if verdict.beside else "with nothing to compare it with"
    rows = table(f"{verdict.version}, {beside}", "gate", "found", "", text=(1,))
    for finding in verdict.findings:
        mark = Text("passed", "green") if finding.passed else Text("failed", "bold red")
        rows.add_row(finding.gate, finding.sentence, mark)
    out.print(rows)


def difference(difference: BundleDifference, out: Console) -> None:
    """How two bundles differ."""
    rows = table("", "what", difference.a, difference.b, text=(1, 2))
    for name, pair in difference.metrics.items():
        rows.add_row(name, *(f"{value:.4f}" if value is not None else "" for value in pair))
    for name, pair in difference.config.items():
        rows.add_row(f"config {name}", *(str(value) for value in pair))
    for name, change in {
        "features": difference.features,
        "items": difference.items,
        "users": difference.users,
    }.items():
        gone = f"{change.gone:,} only here {', '.join(change.examples_gone)}".rstrip()
        new = f"{change.new:,} only here {', '.join(change.examples_new)}".rstrip()
        rows.add_row(f"{name}, {change.shared:,} shared", gone, new)
    out.print(rows)
    if difference.unlike:
        out.print(
            literal("the figures are not of the same requests, do not compare them:"), style="bold yellow"
        )
        for reason in difference.unlike:
            out.print(literal(f"  {reason}"))
    answers = difference.answers
    score = "" if answers.score is None else f", scores of shared items {answers.score:.4f} apart"
    first = f"{answers.overlap:.1%} of the first {answers.k}"
    shared = (
        f"on the same {answers.requests:,} requests: {first} are shared, "
        f"{answers.same_first:.1%} have the same first item, {answers.same_list:.1%} the same list{score}"
    )
    out.print(literal(shared))
