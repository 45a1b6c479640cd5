"""Lists that were shown, as training lists and as rows with an outcome each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.data.attribution import CLICK, OUTCOME
from funnel.errors import DataError
from funnel.ranker.lists import FeatureSource, TrainingLists
from funnel.ranker.membership import contains
from funnel.ranker.propensity import Propensities
from funnel.types import Bool, Candidates, Examples, Float32, Int32, Int64, Ragged, Shown

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ShownRows:
    """Items of shown lists, a row each, lists one after another.

    matrix: float32 [N, F], the features of an item as a candidate: where it stood is none of them. names: the
    F features. items: int32 [N]. outcomes: by name, `click` among them, whether it came of a row: bool [N].
    positions: int64 [N], from 0. sizes: int64 [L], rows of each list. weights: float64 [L], how many lists of
    the log each stands for.
    """

    matrix: Float32
    names: tuple[str, ...]
    items: Int32
    outcomes: Mapping[str, Bool]
    positions: Int64
    sizes: Int64
    weights: Float64

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, lists: NDArray[Any]) -> ShownRows:
        """The rows of some of the lists, in their order. lists: numbers, rising."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        chosen[lists] = True
        rows = np.repeat(chosen, self.sizes)
        return ShownRows(
            self.matrix[rows],
            self.names,
            self.items[rows],
            {name: of[rows] for name, of in self.outcomes.items()},
            self.positions[rows],
            self.sizes[chosen],
            self.weights[chosen],
        )

    @property
    def clicked(self) -> Bool:
        """Which rows were clicked: bool [N]."""
        return self.outcomes[CLICK]

    @property
    def list_of(self) -> Int64:
        """The number of each row's list: int64 [N]."""
        return np.repeat(np.arange(len(self)), self.sizes)


def shown_rows(
    examples: Examples, candidates: Candidates, weights: Float64, features: FeatureSource
) -> ShownRows:
    """The rows of lists that were shown. Items that the request excludes, or that stages dropped, are left
    out.

    examples: whose `shown` has the columns `position` and `outcome.click`, and so on. candidates: those items
    as the ranker gets them when it serves. weights: [B]. Raises: DataError for requests without a list.
    """
    requests = examples.requests
    if requests.shown is None:
        raise DataError("lists that were shown are needed, and these requests bring none")
    kept = candidates.filled
    if requests.exclude is not None:
        kept &= ~contains(requests.exclude, candidates.items)
    at, columns = entries(requests.shown, candidates), requests.shown.columns
    kept &= at >= 0
    at = at[kept]
    named = {name.removeprefix(OUTCOME): of for name, of in columns.items() if name.startswith(OUTCOME)}
    return ShownRows(
        matrix=features.matrix(requests, candidates)[kept],
        names=tuple(features.names),
        items=candidates.items[kept],
        outcomes={name: of[at] > 0 for name, of in named.items()},
        positions=columns["position"][at].astype(np.int64),
        sizes=kept.sum(axis=1),
        weights=weights,
    )


def join_rows(parts: Sequence[ShownRows]) -> ShownRows:
    """The rows of several batches as one."""
    return ShownRows(
        matrix=np.concatenate([part.matrix for part in parts]),
        names=parts[0].names,
        items=np.concatenate([part.items for part in parts]),
        outcomes={
            name: np.concatenate([part.outcomes[name] for part in parts]) for name in parts[0].outcomes
        },
        positions=np.concatenate([part.positions for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
    )


def lists_of_clicks(rows: ShownRows, propensities: Propensities | None, clip: float) -> TrainingLists:
    """A training list for each click: the clicked item, and those of its list that were not clicked.

    It counts as many lists as its own stands for, times 1 / the propensity of the click's position, `clip` at
    most, over the mean of all (Joachims, Swaminathan and Schnabel, Unbiased Learning-to-Rank with Biased
    Feedback, WSDM 2017; self-normalised). propensities: None where every click counts the same.
    """
    list_of = rows.list_of
    clicks, rest = np.flatnonzero(rows.clicked), np.flatnonzero(~rows.clicked)
    others = Ragged.from_lengths(rest, np.bincount(list_of[rest], minlength=len(rows))).take(list_of[clicks])
    useful = np.flatnonzero(others.lengths)
    clicks, others = clicks[useful], others.take(useful)
    sizes = others.lengths + 1
    labels = np.zeros(int(sizes.sum()), dtype=np.float32)
    labels[np.cumsum(sizes) - sizes] = 1
    chosen = np.empty(len(labels), dtype=np.int64)
    chosen[labels > 0], chosen[labels == 0] = clicks, others.values
    importance = rows.weights[list_of[clicks]]
    if propensities is not None:
        importance = importance * propensities.weights(rows.positions[clicks], clip)
    return TrainingLists(
        matrix=rows.matrix[chosen],
        labels=labels,
        sizes=sizes,
        names=rows.names,
        followed=np.zeros(len(sizes), dtype=np.bool_),
        importance=(importance / max(importance.sum(), 1e-12) * len(importance)).astype(np.float32),
    )


def entries(shown: Shown, candidates: Candidates) -> Int64:
    """Which entry of its list each candidate is: int64 [B, K], −1 where it is none."""
    width = np.int64(max(int(shown.items.values.max(initial=0)), int(candidates.items.max(initial=0))) + 1)
    keys = shown.items.list_of * width + shown.items.values
    order = np.argsort(keys)
    wanted = np.arange(len(candidates))[:, None] * width + candidates.items
    at = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    listed = (keys[at] == wanted) & candidates.filled
    return np.where(listed, at, -1)
