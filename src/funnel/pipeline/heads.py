"""A probability for each kind of event, with trees of its own, calibrated on what these did not see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from funnel.bundle.contents import Contents
from funnel.engine import Funnel
from funnel.errors import DataError
from funnel.evaluation.chunks import each_chunk
from funnel.features.groups.click_factor import begins
from funnel.pipeline.logged import Logged
from funnel.pipeline.progress import step
from funnel.ranker import Ranker, RankerConfig, TrainingLists, contains
from funnel.ranker.calibration import FEWEST, Head, Seen, base_rate, calibrate
from funnel.ranker.outcome_trees import OutcomeRows
from funnel.ranker.outcomes import MOST_ROWS
from funnel.ranker.propensity import Propensities
from funnel.ranker.target_trees import Learned, learned
from funnel.recipes import Recipe, each
from funnel.types import Bool, Candidates, EventKinds, Examples, Float32, Float64, Int64


@dataclass(frozen=True)
class Heads:
    """Probabilities by kind of event. trees: of the heads that have some of their own. shown: whether they
    are of lists that were shown. propensities: how far positions of these are looked at. notes: in words."""

    heads: Mapping[str, Head] = field(default_factory=dict)
    trees: Mapping[str, Ranker] = field(default_factory=dict)
    shown: bool = False
    propensities: Propensities | None = None
    notes: tuple[str, ...] = ()


def shown_heads(logged: Logged, config: RankerConfig) -> Heads:
    """For each outcome of shown lists the probability that it comes of an item that is looked at.

    Every item of every list is a row, of lists without a click, too; that nothing came of it says the less,
    the less its position is looked at. Where factors say how probable a click is, the trees correct that.
    """
    sizes = [len(rows.items) for rows in logged.folds]
    positions = np.concatenate([rows.positions for rows in logged.folds])
    examined = np.ones(len(positions))
    if logged.propensities is not None:
        examined = logged.propensities.examined(positions)
    weights = np.concatenate([rows.weights[rows.list_of] for rows in logged.folds])
    folds = np.repeat(np.arange(len(sizes)), sizes)
    matrix = np.concatenate([rows.matrix for rows in logged.folds])
    names = logged.folds[0].names
    outcomes = {
        name: np.concatenate([rows.outcomes[name] for rows in logged.folds])
        for name in logged.folds[0].outcomes
    }
    heads: dict[str, Head] = {}
    trees: dict[str, Ranker] = {}
    recipe = Recipe(_learner, matrix, names, examined, weights, folds, config)
    for name, of in _each(recipe, {name: (of, begins(name, names)) for name, of in outcomes.items()}):
        happened = outcomes[name]
        if of is None:
            heads[name] = base_rate(happened, Seen(examined, weights))
            continue
        trees[name] = of.whole
        scores = np.empty(len(happened), dtype=np.float64)
        for fold, model in enumerate(of.folds):
            scores[folds == fold] = model.predict(matrix[folds == fold])
        heads[name] = calibrate(scores, happened, folds, Seen(examined, weights))
    return Heads(heads, trees, True, logged.propensities, _sentences(heads, trees, "shown items"))


def retrieved_heads(
    contents: Contents,
    kinds: EventKinds | None,
    lists: TrainingLists,
    folds: Sequence[Examples],
    fold_of: Int64,
    config: RankerConfig,
) -> Heads:
    """For each kind of event that is to be found, the probability that a candidate is taken by one.

    lists: of the ranker, with outcomes. folds: the requests of each fold of users, for whole lists. fold_of:
    [L], of the lists. None where there are no two kinds to tell apart.
    """
    names = () if kinds is None else kinds.target_names
    if kinds is None or len(names) < 2 or not lists.outcomes:
        return Heads()
    rows_of = np.repeat(fold_of, lists.sizes)
    weights, examined = lists.weights.astype(np.float64), np.ones(len(lists.labels))
    trees: dict[str, Ranker] = {}
    models: dict[str, list[Ranker]] = {}
    recipe = Recipe(_learner, lists.matrix, lists.names, examined, weights, rows_of, config)
    for name, of in _each(recipe, {name: (lists.outcomes[name], None) for name in names}):
        if of is not None:
            trees[name], models[name] = of
    with step("calibrate the kinds"):
        whole = _whole(contents, kinds, models, folds, config.seed)
    heads = {}
    for name in names:
        scores, happened, fold = whole[name]
        try:
            head = calibrate(scores, happened, fold)
        except DataError:
            head = base_rate(happened, Seen.all(len(happened)))
            trees.pop(name, None)
        heads[name] = head.model_copy(update={"kind": kinds.code(name)})
    return Heads(heads, trees, notes=_sentences(heads, trees, "candidates"))


def _each(
    recipe: Recipe, outcomes: Mapping[str, tuple[Bool, str | None]]
) -> Iterator[tuple[str, Learned | None]]:
    """For each head the trees of its outcomes, which begin with a feature or with none: one after the other,
    or a worker each."""
    trees = each(recipe, outcomes.values(), threads=1)  # each has threads of its own
    for name in outcomes:
        with step(f"grow trees for p_{name}"):
            of = next(trees)
        yield name, of


def _learner(
    matrix: Float32, names: tuple[str, ...], examined: Float64, weights: Float64, folds: Int64,
    config: RankerConfig,
) -> Callable[[tuple[Bool, str | None]], Learned | None]:  # fmt: skip
    """What grows the trees of one head."""

    def learn(outcome: tuple[Bool, str | None]) -> Learned | None:
        happened, begin = outcome
        return learned(OutcomeRows(matrix, names, happened, examined, weights, folds, begin), config, begin)

    return learn


def _whole(
    contents: Contents,
    kinds: EventKinds,
    models: Mapping[str, Sequence[Ranker]],
    folds: Sequence[Examples],
    seed: int,
) -> dict[str, tuple[Float32, Bool, Int64]]:
    """For each kind, scores of whole lists by trees that saw none of their users, outcomes, and folds."""
    width = min(contents.retrieve.k, len(contents.catalogue.ids))
    most = max(1, MOST_ROWS // max(1, width) // len(folds))
    parts: dict[str, list[tuple[Float32, Bool, Int64]]] = {name: [] for name in kinds.target_names}
    for number, fold in enumerate(folds):
        drawn = np.random.default_rng((seed, number)).permutation(len(fold))[:most]
        trees = {name: of[number] for name, of in models.items()}
        recipe = Recipe(_scored, contents, trees)
        for part, shortlist, scores in each_chunk(recipe, fold.take(np.sort(drawn))):
            for name in kinds.target_names:
                happened = contains(part.of_kind(kinds.code(name)).targets, shortlist.items)[shortlist.filled]
                parts[name].append(
                    (
                        scores.get(name, np.zeros(len(happened), np.float32)),
                        happened,
                        np.full(len(happened), number),
                    )
                )
    return {
        name: (
            np.concatenate([a for a, _, _ in of]),
            np.concatenate([b for _, b, _ in of]),
            np.concatenate([c for _, _, c in of]),
        )
        for name, of in parts.items()
    }


def _scored(
    contents: Contents, trees: Mapping[str, Ranker]
) -> Callable[[Examples], tuple[Examples, Candidates, dict[str, Float32]]]:
    """Some requests, their shortlists, and the scores of each filled position by each head."""
    shorten, features = Funnel(contents.before_ranking()), contents.candidate_features()

    def scored(part: Examples) -> tuple[Examples, Candidates, dict[str, Float32]]:
        shortlist = shorten(part.requests)
        values = features.matrix(part.requests, shortlist)[shortlist.filled]
        scores = {name: ranker.predict(values).astype(np.float32) for name, ranker in trees.items()}
        return part, shortlist, scores

    return scored


def _sentences(heads: Mapping[str, Head], trees: Mapping[str, Ranker], what: str) -> tuple[str, ...]:
    return tuple(_sentence(name, head, trees.get(name), what) for name, head in heads.items())


def _sentence(name: str, head: Head, trees: Ranker | None, what: str) -> str:
    """How one probability came about."""
    happened = f"{head.positives:,} of {head.rows:,} {what}"
    if trees is None:
        return (
            f"p_{name} is {float(head(np.zeros(1))[0]):.5f} for all: it came of {happened}, and it takes "
            f"{FEWEST}, and some in each fold, to tell one from another"
        )
    losses = ", ".join(f"{method} {loss:.5f}" for method, loss in head.log_loss.items())
    return (
        f"p_{name} is {head.calibration.method} of {trees.trees} trees of its own; it came of {happened} "
        f"that these did not see; log loss on other users: {losses}"
    )
