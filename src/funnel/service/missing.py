"""Why an item is not in a list, or where it is: the first thing that kept it out, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from funnel.bundle.standing_filter import effective
from funnel.catalogue import moment
from funnel.service.dropped import dropped
from funnel.service.explore import RequestTrace, listed
from funnel.service.standing import Standing, standing
from funnel.serving import arguments
from funnel.serving.given import is_living
from funnel.stages.sources import excluded
from funnel.types import Int32
from funnel.values.plain import plain
from funnel.values.shown import shown


@dataclass(frozen=True)
class Why:
    """What became of an item.

    code: "listed"; or what kept it out: "unknown", "deleted", "filtered", "excluded", "not_retrieved",
    "shortlist", "cap", "budget", "rule", "diversity", "ranked_below", or "dropped" by a stage of a plugin.
    sentence: for people. stage: the one that did not let it pass, where one did not. positions: in each
    stage's list that has it, from 1. standings: in each source among all that the request may be given;
    none where it may not be given.
    """

    item_id: Any
    title: str
    code: str
    sentence: str
    stage: str | None
    positions: Mapping[str, int]
    standings: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "standings"}
        return plain(fields | {"standings": [asdict(of) for of in self.standings]})


def why(traced: RequestTrace, item_id: Any) -> Why:
    """What became of an item in a request. Costs a pass over the catalogue, since ranks are exact."""
    contents = traced.contents
    row = contents.catalogue.ids.row(arguments.known(item_id))
    if row < 0:
        sentence = f"unknown: the catalogue of {traced.loaded.version} has no item {shown(item_id)}"
        return Why(item_id, str(item_id), "unknown", sentence, None, {}, ())
    own = listed(contents, np.array([row], dtype=np.int32))[0]
    code, sentence, stage, standings = _outcome(traced, row)
    return Why(own["item_id"], own["title"], code, sentence, stage, traced.positions(row), standings)


def _outcome(traced: RequestTrace, row: int) -> tuple[str, str, str | None, tuple[Standing, ...]]:
    """Code, sentence, stage and standings."""
    rows = np.array([row], dtype=np.int32)
    kept_out = _kept_out(traced, rows)
    standings = () if kept_out else _standings(traced, row)
    at = max((n for n in range(len(traced.steps)) if row in traced.rows(n)), default=-1)
    if at == len(traced.steps) - 1:
        position, count = traced.positions(row)[traced.steps[at].name], len(traced.rows(at))
        return "listed", f"listed: position {position} of {count}", None, standings
    if kept_out:
        return *kept_out, None, ()
    if at < 0:
        return "not_retrieved", _not_retrieved(traced, standings), traced.steps[0].name, standings
    return *dropped(traced, at, row), traced.steps[at + 1].name, standings


def _kept_out(traced: RequestTrace, rows: Int32) -> tuple[str, str] | None:
    """Whether a request may not be given an item, whatever finds it: code and sentence."""
    if not is_living(traced.contents, rows)[0]:
        return "deleted", "deleted: the item was taken from the catalogue"
    if not excluded(traced.requests, rows[None])[0, 0]:
        return None
    if parts := _failed(traced, rows):
        return "filtered", f"filtered by {' and '.join(parts)}"
    return "excluded", _excluded(traced, int(rows[0]))


def _failed(traced: RequestTrace, rows: Int32) -> list[str]:
    """The parts of the request's filter that the item does not pass, with what it has."""
    contents = traced.contents
    where = effective(contents, traced.request.where) or {}
    context = arguments.context(traced.request.context, contents.context)
    values = {name: arguments.comparable(context.get(name)) for name in moment.named(where)}
    return [
        f"{_written(part)}{_has(traced, part, rows)}"
        for part in _parts(where)
        if not contents.catalogue.allow(moment.resolved(part, values)).holds(np.array([0]), rows)[0]
    ]


def _parts(where: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A filter's entries, which must all hold, each alone."""
    parts: list[dict[str, Any]] = []
    for key, wanted in where.items():
        if key == "and" and isinstance(wanted, list | tuple):
            parts += [own for part in wanted for own in _parts(part)]
        else:
            parts.append({key: wanted})
    return parts


def _written(part: Mapping[str, Any]) -> str:
    ((key, wanted),) = part.items()
    return f"{key}: {shown(plain(wanted))}"


def _has(traced: RequestTrace, part: Mapping[str, Any], rows: Int32) -> str:
    ((key, _),) = part.items()
    if key not in traced.contents.catalogue.names:
        return ""
    value = plain(traced.contents.catalogue.values_of(key, rows)[0])
    return " (it has none)" if value is None else f" (it has {shown(value)})"


def _excluded(traced: RequestTrace, row: int) -> str:
    ids = traced.contents.catalogue.ids
    given = [ids.row(arguments.known(item)) for item in traced.request.exclude or ()]
    if row in given:
        return "excluded: the request names it in `exclude`"
    return "excluded: seen"


def _standings(traced: RequestTrace, row: int) -> tuple[Standing, ...]:
    contents, first = traced.contents, traced.steps[0].candidates
    n = len(contents.catalogue.ids)
    columns = np.flatnonzero(first.items[0] == row)
    ranks = first.source_ranks[0, columns[0]] if len(columns) else np.full(len(first.sources), -1)
    return tuple(
        standing(source, traced.requests, row, n, returned=bool(rank >= 0))
        for source, rank in zip(contents.sources(), ranks, strict=True)
    )


def _not_retrieved(traced: RequestTrace, standings: tuple[Standing, ...]) -> str:
    k = min(max(traced.contents.retrieve.k, traced.k), len(traced.contents.catalogue.ids))
    parts = []
    for of in standings:
        if of.rank is None:
            parts.append(f"{of.source} has nothing to go by")
        else:
            missed = ", which approximate search missed" if of.rank <= k else ""
            parts.append(f"{of.source} rank {of.rank:,}{missed}")
    return f"not retrieved: {', '.join(parts)}; each source gives {k:,}"
