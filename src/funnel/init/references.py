"""Finds keys of a log by their values: columns whose ids are those of a table of users or items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from funnel.init import names
from funnel.init.keys import Keyed

_LEAST = 0.8
_SCORE = 0.5


def with_references(tables: Sequence[Keyed]) -> list[Keyed]:
    """The tables with further keys: where no name of a column tells the user or item, the values may."""
    return [_completed(keyed, tables) for keyed in tables]


def _completed(keyed: Keyed, tables: Sequence[Keyed]) -> Keyed:
    scores = {key: dict(columns) for key, columns in keyed.scores.items()}
    for key in ("user_id", "item_id"):
        if scores[key]:
            continue
        taken = {name for columns in scores.values() for name in columns}
        for name in keyed.ids:
            if name not in taken and not keyed.unique(name) and _refers(keyed, name, key, tables):
                scores[key][name] = _SCORE
    return replace(keyed, scores=scores)


def _refers(keyed: Keyed, name: str, key: str, tables: Sequence[Keyed]) -> bool:
    for other in tables:
        by_name = max((names.role(key, word) for word in names.words(other.sample.files.stem)), default=0.0)
        if other is keyed or not by_name:
            continue
        for theirs, ids in other.ids.items():
            if other.unique(theirs) and len(keyed.ids[name].intersection(ids)) >= _LEAST * len(
                keyed.ids[name]
            ):
                return True
    return False
