"""What events are worth on average, with trees of its own for each kind that `[rank] value` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from funnel.bundle.contents import Contents
from funnel.data.worth import worth_after
from funnel.distinct import distinct
from funnel.engine import Funnel
from funnel.evaluation.chunks import each_chunk
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import step
from funnel.ranker import Ranker, RankerConfig, contains
from funnel.ranker.calibration import EVENT
from funnel.ranker.target_trees import learned
from funnel.ranker.value_head import ValueHead, fit_value, flat
from funnel.ranker.value_trees import ValueRows
from funnel.recipes import Recipe, each
from funnel.stages.value import value_trees, worth_names
from funnel.types import Examples, Float32, Log, Shown

#: Leaves of trees on few rows have fewer than the config says, but so many at least.
_LEAST_LEAF = 20


@dataclass(frozen=True)
class ValueHeads:
    """What events of each kind are worth. trees: of the kinds whose rows can be told apart, by
    `value_trees`. notes: in words."""

    heads: Mapping[str, ValueHead] = field(default_factory=dict)
    trees: Mapping[str, Ranker] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def value_names(prepared: Prepared) -> list[str]:
    """The kinds of events whose worth an expression can read: the targets, where events have values."""
    if prepared.dataset.log.values is None:
        return []
    kinds = prepared.split.kinds
    return [EVENT] if kinds is None else list(kinds.target_names)


def value_heads(contents: Contents, prepared: Prepared, folds: Sequence[Examples]) -> ValueHeads:
    """A head for each kind that the config's expression reads; none where it reads none.

    Learned from what was taken in the ranker's window: the features of the item at the request that it was
    taken after, and what the event was worth. Calibrated, as probabilities are, on users that trees did not
    see. folds: the requests of each fold of users.
    """
    wanted = worth_names(prepared.config.rank, value_names(prepared))
    heads: dict[str, ValueHead] = {}
    trees: dict[str, Ranker] = {}
    notes = []
    rows = (_rows(contents, prepared, folds, name) for name in wanted)
    results = each(Recipe(_learner, prepared.config.ranker), rows, threads=1)  # each has threads of its own
    for name in wanted:
        with step(f"grow trees for v_{name}"):
            heads[name], of = next(results)
        if of is not None:
            trees[value_trees(name)] = of
        notes.append(_sentence(name, heads[name], of))
    return ValueHeads(heads, trees, tuple(notes))


def _learner(config: RankerConfig) -> Callable[[ValueRows], tuple[ValueHead, Ranker | None]]:
    """What makes a head and its trees of rows; the mean of all and no trees where these say too little."""

    def learn(rows: ValueRows) -> tuple[ValueHead, Ranker | None]:
        leaf = min(config.min_data_in_leaf, max(_LEAST_LEAF, len(rows) // 30))
        of = learned(rows, config.model_copy(update={"min_data_in_leaf": leaf}))
        if of is None:
            return flat(rows.values), None
        scores = np.empty(len(rows), dtype=np.float64)
        for fold, trees in zip(distinct(rows.folds), of.folds, strict=True):
            mine = rows.folds == fold
            scores[mine] = trees.predict(rows.matrix[mine])
        head = fit_value(scores, rows.values)
        return head, of.whole if head.slope > 0 else None

    return learn


def _rows(contents: Contents, prepared: Prepared, folds: Sequence[Examples], name: str) -> ValueRows:
    """The events of a kind in the ranker's window, a share of the lists that the config allows in each
    fold."""
    kinds, config = prepared.split.kinds, prepared.config.ranker
    code = None if kinds is None else kinds.code(name)
    most = max(1, config.lists // len(folds))
    names = tuple(contents.candidate_features().names)
    nothing = np.empty(0, dtype=np.int64)
    matrices, worth, fold_of = [np.empty((0, len(names)), dtype=np.float32)], [np.empty(0)], [nothing]
    for number, fold in enumerate(folds):
        examples = fold if code is None else fold.of_kind(code)
        some = np.flatnonzero(examples.targets.lengths)
        some = np.sort(np.random.default_rng((prepared.config.seed, number)).permutation(some)[:most])
        work = partial(_of_chunk, contents, prepared.dataset.log, code)
        for matrix, values in each_chunk(work, examples.take(some)):
            matrices.append(matrix)
            worth.append(values)
            fold_of.append(np.full(len(values), number))
    return ValueRows(np.concatenate(matrices), names, np.concatenate(worth), np.concatenate(fold_of))


def _of_chunk(
    contents: Contents, log: Log, code: int | None, examples: Examples
) -> tuple[Float32, NDArray[np.float64]]:
    """The features of each target as a candidate, and what it was worth."""
    requests = examples.requests
    stages = contents.before_ranking()
    if requests.shown is None:  # else the list that is chosen from says what the features are
        requests, stages = replace(requests, shown=Shown(examples.targets)), contents.placing()
    candidates = Funnel(stages)(requests)
    taken = contains(examples.targets, candidates.items) & candidates.filled
    row, _ = np.nonzero(taken)
    worth = worth_after(log, code, requests.users[row], candidates.items[taken], requests.times[row])
    known = np.isfinite(worth)
    return contents.candidate_features().matrix(requests, candidates)[taken][known], worth[known]


def _sentence(name: str, head: ValueHead, trees: Ranker | None) -> str:
    if trees is None:
        return (
            f"v_{name} is {head.mean:g} for all, the mean of {head.rows:,} events: nothing tells them apart"
        )
    return (
        f"v_{name} is of {trees.trees} trees of its own, by {head.rows:,} events that were worth "
        f"{head.mean:g} on average"
    )
