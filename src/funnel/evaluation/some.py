"""How well lists do for some of the targets alone: cold items, or those of one kind of event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from funnel.distinct import distinct
from funnel.evaluation.chance import chance_level
from funnel.evaluation.metrics import of_positions, sum_by
from funnel.evaluation.rows import Value, with_intervals
from funnel.settings import Settings
from funnel.types import Bool, Examples, Ragged

#: Recall of the whole list, however wide it is.
ALL = "recall"


class OfSome(Settings):
    """Figures of some of the targets alone, in the lists as they are served.

    targets, requests: how many, and how many requests have one; means are over those. rows: by row of the
    report, `ndcg@k`, `recall@k` and `recall` of the whole list; empty where there is no such target. chance:
    of lists in a random order.
    """

    targets: int
    requests: int
    rows: dict[str, dict[str, Value]] = Field(default_factory=dict)
    chance: dict[str, float] = Field(default_factory=dict)


class ServedLists(NamedTuple):
    """What every row of a report returned, and how figures are made of it.

    positions: by row, each target's position in its request's list, −1 where it is not there. widths: by row,
    the length of its longest list. n_items: of the catalogue. k: the length of the list that is shown. seed,
    resamples: of the bootstrap by user.
    """

    positions: Mapping[str, Ragged]
    widths: Mapping[str, int]
    examples: Examples
    n_items: int
    k: int
    seed: int
    resamples: int

    def of(self, wanted: Bool) -> dict[str, Any]:
        """The fields of `OfSome`, of the targets that a mask picks: bool [targets]."""
        targets = self.examples.targets
        kept = distinct(targets.list_of[wanted])
        counted: dict[str, Any] = {"targets": int(wanted.sum()), "requests": len(kept)}
        if not len(kept):
            return counted
        some = Examples(self.examples.requests.take(kept), _only(targets, wanted).take(kept))
        names = (f"ndcg@{self.k}", f"recall@{self.k}")
        values = {}
        for row, of_row in self.positions.items():
            mine = _only(of_row, wanted).take(kept)
            values[row] = {metric: of_positions(metric, mine) for metric in names}
            values[row][ALL] = of_positions(f"recall@{max(self.widths[row], 1)}", mine)
        users, drawn = some.requests.users, {"seed": self.seed, "resamples": self.resamples}
        rows: dict[str, dict[str, Value]] = with_intervals(values, users, **drawn)
        return {**counted, "rows": rows, "chance": chance_level(list(names), some, self.n_items)}


def _only(lists: Ragged, kept: Bool) -> Ragged:
    """ServedLists with the values that are kept; bool [values]."""
    lengths = sum_by(lists.list_of, kept, len(lists)).astype(np.int64)
    return Ragged.from_lengths(lists.values[kept], lengths)
