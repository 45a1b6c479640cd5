"""A profile for a terminal of 80 columns and more."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from funnel.profile.columns import ColumnProfile
from funnel.profile.figures import Profile
from funnel.terminal import FittingTable, literal, plain

_NONE = "\N{EN DASH}"
_VALUES = 34  # the most of examples


def as_table(profile: Profile) -> RenderableType:
    """Tables one under the other, for `rich.console.Console.print`; fits in 80 columns."""
    rows = ", ".join(f"{n:,} {table}" for table, n in profile.rows.items())
    parts: list[RenderableType] = [
        Text.assemble((profile.name, "bold"), f"  {rows}"),
        Text(_when(profile), "dim"),
        *([_columns(profile)] if profile.columns else []),
        _tails(profile),
    ]
    if profile.parts:
        parts.append(_parts(profile))
    parts += [Text("\n").join(_balance(name, counts) for name, counts in profile.balance.items())]
    if profile.impressions is not None:
        shown = profile.impressions
        rate = shown.clicked / max(shown.rows, 1)
        parts.append(
            Text(f"{shown.lists:,} lists of {shown.rows / max(shown.lists, 1):.1f} rows, {rate:.1%} clicked")
        )
    parts.append(Text("\n").join(literal(f"• {note}", "yellow") for note in profile.notes))
    return Group(*(line for part in parts if part for line in (part, Text())))


def _when(profile: Profile) -> str:
    if profile.span is None:
        return {"order": "events in order, without a clock", "none": "events without an order"}[profile.clock]
    span = profile.span
    return f"{span.first.replace('T', ' ')} to {span.last.replace('T', ' ')}, {span.days:,.0f} days"


def _columns(profile: Profile) -> FittingTable:
    table = plain("column", "kind", "missing", "unexpected", "distinct", "values", text=(1, 5))
    for column in profile.columns:
        table.add_row(
            Text.assemble((f"{column.table}.", "dim"), literal(column.name)),
            Text(column.kind, "dim"),
            _share(column.missing, column.rows),
            Text(f"{column.unexpected:,}", "bold red") if column.unexpected else _NONE,
            _NONE if column.distinct is None else f"{column.distinct:,}",
            literal(shorten(_values(column), _VALUES), "dim"),
        )
    return table


def _values(column: ColumnProfile) -> str:
    if column.unexpected:
        return "unexpected: " + ", ".join(map(repr, column.examples))
    if column.numbers is not None:
        numbers = column.numbers
        return f"{numbers.smallest:g} … {numbers.median:g} … {numbers.largest:g}"
    return ", ".join(value for value, _ in column.common)


def shorten(text: str, width: int) -> str:
    """The text, or its start and an ellipsis."""
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"


def _tails(profile: Profile) -> FittingTable:
    table = plain("events of", "number", "without", "median", "mean", "most", "Gini", "top 1% have")
    for name, tail in (("users", profile.users), ("items", profile.items)):
        shares = [f"{tail.gini:.2f}", f"{tail.top:.1%}"]
        numbers = [
            f"{tail.n:,}",
            f"{tail.without:,}",
            f"{tail.median:,.0f}",
            f"{tail.mean:,.1f}",
            f"{tail.most:,}",
        ]
        table.add_row(name, *numbers, *shares)
    return table


def _parts(profile: Profile) -> FittingTable:
    titles = ("requests", "events", "users", "items", "cold users", "cold items", "history")
    table = plain(f"split: {profile.protocol}", *titles)
    for part in profile.parts:
        sizes = [f"{part.events:,}", f"{part.users:,}", f"{part.items:,}"]
        if not part.requests:
            table.add_row(part.name, _NONE, *sizes, _NONE, _NONE, _NONE)
            continue
        cold = [f"{part.cold_users:.1%}", f"{part.cold_items:.1%}", f"{part.history:,.0f}"]
        table.add_row(part.name, f"{part.requests:,}", *sizes, *cold)
    return table


def _balance(name: str, counts: dict[str, int]) -> Text:
    total = sum(counts.values())
    return Text.assemble(
        literal(f"{name}  ", "dim"),
        literal("   ".join(f"{label} {n / total:.1%}" for label, n in counts.items())),
    )


def _share(count: int, rows: int) -> RenderableType:
    return Text(f"{count / rows:.1%}", "yellow") if count else _NONE
