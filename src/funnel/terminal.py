"""Tables for a terminal of any width: no figure and no name is cut, and nothing is read as markup
or obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

#: The least that a column of text is folded to.
_FOLDED = 12

#: Columns of blanks between two: the padding of the left one, and one of the box.
_BETWEEN = 2


#: What a terminal obeys instead of showing it: control characters, which may begin commands to it, and marks
#: that turn the order of what follows.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def literal(text: object, style: str = "") -> Text:
    """A text as it is: without markup, and with escapes such as `\\x1b` for what a terminal would obey."""
    return Text(_OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text)), style)


def say(text: object, out: Console | None = None) -> None:
    """Print one line as it is, see `literal`, of any length: a path in it can be copied, and piped.

    out: default stdout.
    """
    (out or Console()).print(literal(text), soft_wrap=True)


class FittingTable(Table):
    """A table whose columns of text are folded where the terminal is narrow; where that is not enough, the
    columns that do not fit come below, behind the first column again. Cells, headers and titles that are
    strings are taken as they are.
    """

    def add_row(self, *renderables: RenderableType | None, **options: Any) -> None:
        """Add a row, as `rich.table.Table` does, but without markup."""
        super().add_row(
            *(literal(cell) if isinstance(cell, str) else cell for cell in renderables), **options
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or several one under the other."""
        widths = [_width(column, console, options) for column in self.columns]
        groups = self._groups(widths, options.max_width)
        if len(groups) == 1:
            yield from super().__rich_console__(console, options)
            return
        for number, group in enumerate(groups):
            yield from self._part(group, first=number == 0).__rich_console__(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """It fits any width."""
        return Measurement(min(_FOLDED, options.max_width), options.max_width)

    def _groups(self, widths: Sequence[int], room: int) -> list[list[int]]:
        """Groups of columns that fit side by side; the first column is in each."""
        least = [
            width if column.no_wrap else min(width, _FOLDED)
            for column, width in zip(self.columns, widths, strict=True)
        ]
        edges = 2 if self.show_edge else 0
        groups, used = [[0]], edges + sum(least[:1])
        for number, width in list(enumerate(least))[1:]:
            if used + _BETWEEN + width > room and len(groups[-1]) > 1:
                groups.append([0])
                used = edges + least[0]
            groups[-1].append(number)
            used += _BETWEEN + width
        return groups

    def _part(self, group: Sequence[int], *, first: bool) -> Table:
        """A table of some of the columns, with the title if it is the first part."""
        fitting = Table(
            title=self.title if first else None,
            title_justify=self.title_justify,
            title_style=self.title_style,
            box=self.box,
            padding=self.padding,
            pad_edge=self.pad_edge,
            show_edge=self.show_edge,
            header_style=self.header_style,
        )
        for number in group:
            fitting.add_column(self.columns[number].header, **_layout(self.columns[number]))
        cells = [list(self.columns[number].cells) for number in group]
        for row, parts in zip(self.rows, zip(*cells, strict=True), strict=True):
            fitting.add_row(*parts, style=row.style, end_section=row.end_section)
        return fitting


def table(title: str, *columns: str, text: Sequence[int] = ()) -> FittingTable:
    """An empty table with a title. text: numbers of columns that hold text, beside the first: they are on the
    left and may be folded; the others are on the right and are not."""
    fitting = FittingTable(
        title=literal(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    _add(fitting, columns, (0, *text))
    return fitting


def plain(*columns: str, text: Sequence[int] = ()) -> FittingTable:
    """The same without a title and without edges, for a page of tables."""
    fitting = FittingTable(
        box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", show_edge=False
    )
    _add(fitting, columns, (0, *text))
    return fitting


def _add(fitting: FittingTable, columns: Sequence[str], text: Sequence[int]) -> None:
    for number, column in enumerate(columns):
        left = number in text
        fitting.add_column(
            literal(column), justify="left" if left else "right", no_wrap=not left, overflow="fold"
        )


def _layout(column: Column) -> dict[str, Any]:
    return {"justify": column.justify, "no_wrap": column.no_wrap, "overflow": column.overflow}


def _width(column: Column, console: Console, options: ConsoleOptions) -> int:
    """The width of the widest line in a column."""
    cells: Iterator[RenderableType] = iter((column.header, *column.cells))
    wide = options.update(max_width=10_000)
    return max(Measurement.get(console, wide, cell).maximum for cell in cells)
