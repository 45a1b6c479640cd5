"""One request as every stage left it: what an explorer shows.

    traced = trace(live, Request(user_id=7), k=10)
    traced.to_dict(top=50)          # each stage's list, with the sources that found each item
    why(traced, 812).sentence       # of `funnel.service.missing`: "not retrieved: towers rank 812, ..."

The stages are those that `Live.recommend` runs, so the last list is what it answers. What is asked here may
cost a pass over the catalogue, and is not on the way of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Step
from funnel.serving import arguments
from funnel.serving.live import Live
from funnel.serving.loaded import Loaded
from funnel.serving.probabilities import ranked
from funnel.serving.reasons import recommendations
from funnel.serving.request import Request, encode_request
from funnel.types import Int32, Requests
from funnel.values.plain import plain

#: Columns that say what to call an item; the first that a catalogue has does.
TITLES = ("title", "name")


@dataclass(frozen=True)
class RequestTrace:
    """One request, and what each stage left of it.

    request: as it was asked. k: items wanted. requests: it in row numbers. reasons: what was missing. state:
    how far the log is in it. columns: item columns that are shown beside the title.
    """

    request: Request
    k: int
    loaded: Loaded
    state: str
    requests: Requests
    reasons: tuple[str, ...]
    steps: Sequence[Step]
    columns: tuple[str, ...] = ()

    @property
    def contents(self) -> Contents:
        """Of the bundle that answered."""
        return self.loaded.contents

    def rows(self, number: int) -> Int32:
        """The items that a stage left, best first: int32 [n]. number: of the stage, from 0."""
        items = self.steps[number].candidates.items[0]
        return items[items >= 0]

    def positions(self, row: int) -> dict[str, int]:
        """Where an item stands in each stage's list that has it, from 1, by the stage's name."""
        at_stage = {step.name: np.flatnonzero(self.rows(at) == row) for at, step in enumerate(self.steps)}
        return {name: int(at[0]) + 1 for name, at in at_stage.items() if len(at)}

    def to_dict(self, top: int = 50, *, stored: bool = False) -> dict[str, Any]:
        """Plain values for JSON: the first `top` of each stage's list, what is answered with its reasons,
        and the history that it went by, the latest first.

        stored: whether the history is told also where the request did not bring it; it is what is known of a
        person. `history_length` is told in any case.

        An item has its position from 1, its score, `sources` with its rank from 1 in each that found it, and
        `moved`: by how many positions the stage moved it up; null where the stage before did not have it.
        """
        history = self.requests.history[0]
        shown = stored or self.request.history is not None
        return {
            "user_id": plain(self.request.user_id),
            "version": self.loaded.version,
            "state": self.state,
            "reasons": list(self.reasons),
            "history_length": len(history),
            "history": listed(self.contents, history[::-1][:top]) if shown else [],
            "stages": [self._stage(number, top) for number in range(len(self.steps))],
            "items": self._answered(),
        }

    def _stage(self, number: int, top: int) -> dict[str, Any]:
        step, rows = self.steps[number], self.rows(number)
        before = self.rows(number - 1) if number else rows[:0]
        at_before = {row: at for at, row in enumerate(before.tolist())}
        items = listed(self.contents, rows[:top], self.columns)
        scores, ranks = step.candidates.scores[0].tolist(), step.candidates.source_ranks[0].tolist()
        for at, (item, row) in enumerate(zip(items, rows[:top].tolist(), strict=True)):
            item |= {"position": at + 1, "score": plain(scores[at])}
            item["moved"] = at_before[row] - at if row in at_before else None
            item["sources"] = _source_ranks(step.candidates.sources, ranks[at])
        return {
            "name": step.name,
            "milliseconds": round(1000 * step.seconds, 3),
            "skipped": step.skipped,
            "count": len(rows),
            "items": items,
        }

    def _answered(self) -> list[dict[str, Any]]:
        final = self.steps[-1].candidates
        items = recommendations(self.contents, self.requests, final, (), ranked(self.steps))
        return [
            {"item_id": plain(item.item_id), "reasons": list(item.reasons)}
            | {"probabilities": plain(item.probabilities), "value": plain(item.value)}
            for item in items
        ]


def trace(live: Live, request: Request, k: int = 10, attributes: Sequence[str] = ()) -> RequestTrace:
    """What each stage makes of a request. k: items wanted, at least 1. attributes: item columns beside the
    title.

    Raises: as `Live.recommend` does.
    """
    wanted = arguments.item_count(k)
    loaded, state = live.served(), live.position
    columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
    request = replace(request, time=live.moment(request.time))
    requests, reasons = encode_request(loaded.contents, request, live.recent_interactions(request.user_id))
    requests = live.on_occasion(loaded, requests, [request.user_id], request.time)
    steps = loaded.funnel(wanted).trace(requests)
    return RequestTrace(request, wanted, loaded, state, requests, tuple(reasons), steps, tuple(columns or ()))


def listed(contents: Contents, rows: Int32, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Items for people: `item_id`, `title`, and `attributes` where columns of them are wanted."""
    catalogue = contents.catalogue
    named = [name for name in TITLES if name in catalogue.names][:1]
    records = catalogue.records(rows, list(dict.fromkeys([*named, *columns])))
    items: list[dict[str, Any]] = []
    for item_id, record in zip(catalogue.ids.take(rows), records, strict=True):
        title = record[named[0]] if named else None
        item = {"item_id": plain(item_id), "title": title if isinstance(title, str) else str(item_id)}
        items.append(item | ({"attributes": plain({c: record[c] for c in columns})} if columns else {}))
    return items


def _source_ranks(sources: Sequence[str], ranks: Sequence[int]) -> dict[str, int]:
    return {name: rank + 1 for name, rank in zip(sources, ranks, strict=True) if rank >= 0}
