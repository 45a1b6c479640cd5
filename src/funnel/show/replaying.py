"""What another policy would have earned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from funnel.terminal import literal, table

if TYPE_CHECKING:
    from funnel.off_policy.replay import Replay


def replay(replay: Replay, out: Console) -> None:
    """What a policy would have earned a list."""
    earned = replay.earned
    rows = table(
        f"{replay.lists:,} drawn lists",
        "estimator", "a list", "95%", "change", "95% ", "effective", "holds for",
        text=(0, 6),
    )  # fmt: skip
    rows.add_row("as it was", _figure(earned.value), _within(earned.lo, earned.hi), "", "", "", "")
    for each in replay.estimates:
        change = (None, None, None) if each.change is None else each.change
        rows.add_row(
            each.estimator, _figure(each.value), _within(each.lo, each.hi), _figure(change[0]),
            _within(change[1], change[2]), f"{each.effective:,.0f}", each.holds,
        )  # fmt: skip
    out.print(rows)
    for each in replay.estimates:
        if each.refused is not None:
            out.print(literal(f"  {each.estimator}: {each.refused}"))
        if each.clip is not None:
            cut = f"{each.clipped:.2%} of the weights were cut at {each.clip:g}"
            out.print(literal(f"  {each.estimator}: {cut}"))
    left_out = ", ".join(f"{count:,} {why}" for why, count in replay.left_out.items())
    if left_out:
        out.print(literal(f"  left out: {left_out}"), style="dim")


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} … {high:.4g}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
