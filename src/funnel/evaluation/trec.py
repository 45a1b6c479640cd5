"""Lists and what was right in the forms of TREC and ranx, for evaluators that are not ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from funnel.artifacts.writing import whole_file
from funnel.errors import FunnelError
from funnel.types import Int32, Ragged

if TYPE_CHECKING:
    import ranx as library

#: An item row's id, as text.
Named = Callable[[int], str]

#: What divides fields and lines, and the sign that stands for it.
_DIVIDES = re.compile(r"[\s%\x00-\x1f\x7f-\x9f]")


def run(lists: Int32, item: Named) -> dict[str, dict[str, float]]:
    """request -> item id -> score, counting down from the lists' width to 1. lists: [B, W], −1 = empty."""
    return {
        str(request): {item(row): float(lists.shape[1] - place) for place, row in _shown(lists[request])}
        for request in range(len(lists))
    }


def qrels(targets: Ragged, item: Named) -> dict[str, dict[str, int]]:
    """request -> item id -> 1."""
    return {
        str(request): {item(row): 1 for row in targets[request].tolist()} for request in range(len(targets))
    }


def run_lines(lists: Int32, item: Named, tag: str) -> Iterator[str]:
    """`qid Q0 docid rank score tag`; evaluators sort by the score, which counts down by position."""
    for request in range(len(lists)):
        for place, row in _shown(lists[request]):
            score = lists.shape[1] - place
            yield f"{request} Q0 {field(item(row))} {place + 1} {score} {field(tag)}\n"


def qrels_lines(targets: Ragged, item: Named) -> Iterator[str]:
    """`qid 0 docid 1`."""
    for request in range(len(targets)):
        for row in targets[request].tolist():
            yield f"{request} 0 {field(item(row))} 1\n"


def field(text: str) -> str:
    """An id in one piece; `urllib.parse.unquote` gives it back."""
    return _DIVIDES.sub(lambda found: quote(found[0], safe=""), text)


def write(path: Path, lines: Iterable[str]) -> None:
    """A text file, whole or not at all. Raises: BundleError where it cannot be written."""
    with whole_file(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def ranx(
    right: dict[str, dict[str, int]], shown: dict[str, dict[str, float]], name: str
) -> tuple[library.Qrels, library.Run]:
    """As ranx has them. Raises: FunnelError where it is not installed."""
    try:
        from ranx import Qrels, Run
    except ImportError as missing:
        raise FunnelError("this needs ranx: pip install ranx") from missing
    return Qrels.from_dict(right), Run.from_dict(shown, name=name)


def _shown(items: Int32) -> list[tuple[int, int]]:
    """Position and item row of each place that is not empty."""
    return [(place, row) for place, row in enumerate(items.tolist()) if row >= 0]
