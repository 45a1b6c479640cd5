"""Keys of a log by their values: a column whose ids are those of a table of users, or of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from funnel.init import names
from funnel.init.keys import Keyed

_LEAST = 0.8
_SCORE = 0.5


def with_references(tables: Sequence[Keyed]) -> list[Keyed]:
    """The tables, where those without a user or an item by name have one by value."""
    return [_completed(one, tables) for one in tables]


def _completed(one: Keyed, tables: Sequence[Keyed]) -> Keyed:
    scores = {key: dict(found) for key, found in one.scores.items()}
    for key in ("user_id", "item_id"):
        if scores[key]:
            continue
        taken = {name for found in scores.values() for name in found}
        for name in one.ids:
            if name not in taken and not one.unique(name) and _refers(one, name, key, tables):
                scores[key][name] = _SCORE
    return replace(one, scores=scores)


def _refers(one: Keyed, name: str, key: str, tables: Sequence[Keyed]) -> bool:
    for other in tables:
        said = max((names.role(key, word) for word in names.words(other.sample.found.stem)), default=0.0)
        if other is one or not said:
            continue
        for theirs, ids in other.ids.items():
            if other.unique(theirs) and len(one.ids[name].intersection(ids)) >= _LEAST * len(one.ids[name]):
                return True
    return False
