"""How well lists do on cold items: targets that had no event in what the bundle was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from funnel.evaluation.chance import chance_level
from funnel.evaluation.metrics import of_positions, sum_by
from funnel.evaluation.rows import Value, with_intervals
from funnel.settings import Settings
from funnel.types import Bool, Examples, Ragged

#: Recall of the whole list, however wide it is.
ALL = "recall"


class Cold(Settings):
    """Figures of the cold targets alone, in the lists as they are served.

    items: of the catalogue, those without an event in training. targets, requests: the targets among them,
    and the requests that have one; means are over those requests. rows: by row of the report, `ndcg@k`,
    `recall@k` and `recall` of the whole list; empty where there is no such target. chance: of lists in a
    random order.
    """

    items: int
    targets: int
    requests: int
    rows: dict[str, dict[str, Value]] = Field(default_factory=dict)
    chance: dict[str, float] = Field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """How many there are, in words."""
        if not self.targets:
            return f"no target is among the {self.items:,} items without an event in training"
        return (
            f"{self.targets:,} targets of {self.requests:,} requests are among the {self.items:,} items "
            "without an event in training"
        )


def cold_figures(
    positions: Mapping[str, Ragged],
    widths: Mapping[str, int],
    examples: Examples,
    popularity: NDArray[Any],
    k: int,
    *,
    seed: int,
    resamples: int,
) -> Cold:
    """What each row's lists do for targets without an event.

    positions: by row, each target's position in its request's list, −1 where it is not there. widths: by row,
    the length of its longest list. popularity: [n_items], events of each item in training. k: the length of
    the list that is shown. seed, resamples: of the bootstrap by user.
    """
    cold = popularity == 0
    wanted = cold[examples.targets.values]
    kept = np.unique(examples.targets.list_of[wanted])
    counted = Cold(items=int(cold.sum()), targets=int(wanted.sum()), requests=len(kept))
    if not len(kept):
        return counted
    some = Examples(examples.requests.take(kept), _only(examples.targets, wanted).take(kept))
    values = {}
    for name, of_row in positions.items():
        mine = _only(of_row, wanted).take(kept)
        values[name] = {metric: of_positions(metric, mine) for metric in (f"ndcg@{k}", f"recall@{k}")}
        values[name][ALL] = of_positions(f"recall@{max(widths[name], 1)}", mine)
    return counted.model_copy(
        update={
            "rows": with_intervals(values, some.requests.users, seed=seed, resamples=resamples),
            "chance": chance_level([f"ndcg@{k}", f"recall@{k}"], some, len(popularity)),
        }
    )


def _only(lists: Ragged, kept: Bool) -> Ragged:
    """Lists with the values that are kept; bool [values]."""
    lengths = sum_by(lists.list_of, kept, len(lists)).astype(np.int64)
    return Ragged.from_lengths(lists.values[kept], lengths)
