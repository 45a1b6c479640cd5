"""Lists and targets in the formats of TREC and ranx, for other evaluators."""

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

#: What would divide fields or lines, and "%", which the encoding itself uses.
_DIVIDES = re.compile(r"[\s%\x00-\x1f\x7f-\x9f]")


def run(lists: Int32, item: Named) -> dict[str, dict[str, float]]:
    """request -> item id -> score, counting down from the lists' width to 1. lists: [B, W], −1 = empty."""
    return {
        str(request): {
            item(row): float(lists.shape[1] - position) for position, row in _shown(lists[request])
        }
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
        for position, row in _shown(lists[request]):
            score = lists.shape[1] - position
            yield f"{request} Q0 {field(item(row))} {position + 1} {score} {field(tag)}\n"


def qrels_lines(targets: Ragged, item: Named) -> Iterator[str]:
    """`qid 0 docid 1`."""
    for request in range(len(targets)):
        for row in targets[request].tolist():
            yield f"{request} 0 {field(item(row))} 1\n"


def field(text: str) -> str:
    """An id without anything that divides fields; `urllib.parse.unquote` gives the id back."""
    return _DIVIDES.sub(lambda divider: quote(divider[0], safe=""), text)


def write(path: Path, lines: Iterable[str]) -> None:
    """A text file, whole or not at all. Raises: BundleError where it cannot be written."""
    with whole_file(path) as hidden, hidden.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def ranx(
    right: dict[str, dict[str, int]], shown: dict[str, dict[str, float]], name: str
) -> tuple[library.Qrels, library.Run]:
    """Qrels and run as objects of ranx. Raises: FunnelError where it is not installed."""
    try:
        from ranx import Qrels, Run
    except ImportError as missing:
        raise FunnelError("this needs ranx: pip install ranx") from missing
    return Qrels.from_dict(right), Run.from_dict(shown, name=name)


def _shown(items: Int32) -> list[tuple[int, int]]:
    """(position, item row) of each position that is not empty."""
    return [(position, row) for position, row in enumerate(items.tolist()) if row >= 0]
