"""Answers as tables: the items, why they are there, and what their order goes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from funnel.serving.reasons import in_words
from funnel.terminal import literal, table

if TYPE_CHECKING:
    from funnel.serving.live import Live
    from funnel.serving.response import Answer


def answer(
    answer: Answer, live: Live, out: Console, *, near: Any = None, history: Sequence[Any] | None = None
) -> None:
    """One user's items, with where they came from and why. near: the item id whose neighbours they are.
    history: item ids that the answer goes by in place of those that are known of the user."""
    contents = live.contents
    title = contents.catalogue.title
    heading = f"user {answer.user_id}" if near is None else f"similar to {title(near)}"
    rows = table(heading, "item", "score", "found by", "because", text=(2, 3))
    for item in answer.items:
        sources = " ".join(f"{name}#{rank}" for name, rank in item.sources.items())
        because = ", ".join(in_words(code, contents) for code in item.reasons)
        rows.add_row(title(item.item_id), f"{item.score:.3f}", sources, because)
    out.print(rows)
    items = live.history(answer.user_id) if history is None else history
    latest = [title(item) for item in items[-5:]]
    if latest:
        out.print(literal(f"  latest interactions: {', '.join(latest)}"), style="dim")
    if answer.reasons:
        out.print(literal(f"  reason codes: {', '.join(answer.reasons)}"), style="dim")
    total = sum(answer.milliseconds.values())
    out.print(literal(f"  bundle {answer.version}, {total:.1f} ms"), style="dim")
    out.print()


def explanation(contributions: dict[str, float], out: Console, most: int = 12) -> None:
    """The largest SHAP contributions."""
    rows = table("why the first item is first (SHAP)", "feature", "contribution")
    base = contributions.get("base", 0.0)
    ordered = [pair for pair in contributions.items() if pair[0] != "base"]
    for name, value in ordered[:most]:
        rows.add_row(name, f"{value:+.3f}")
    rest = sum(value for _, value in ordered[most:])
    rows.add_row(f"{max(0, len(ordered) - most)} others", f"{rest:+.3f}")
    rows.add_row("base", f"{base:+.3f}")
    rows.add_row("score", f"{sum(contributions.values()):+.3f}", style="bold")
    out.print(rows)


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
