"""Train the ranker on what the retriever returns for the ranker's window, and judge it there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from funnel.bundle.contents import Contents
from funnel.bundle.standing_filter import under
from funnel.distinct import distinct
from funnel.engine import Funnel
from funnel.errors import DataError
from funnel.evaluation import Difference, compute, paired
from funnel.evaluation.chunks import each_chunk
from funnel.pipeline.heads import Heads, retrieved_heads, shown_heads
from funnel.pipeline.logged import Logged, learn_from
from funnel.pipeline.order import Order, retrieval_order
from funnel.pipeline.prepare import Prepared
from funnel.pipeline.progress import give_back, step
from funnel.pipeline.ranker_facts import RankerFacts
from funnel.pipeline.unknown_context import rows_again, unknown_from
from funnel.pipeline.value_heads import value_heads
from funnel.ranker import CrossFit, Ranker, RankerConfig, TrainingLists, concatenate, training_lists
from funnel.ranker.calibration import EVENT, Head, calibrate
from funnel.ranker.config import FOLDS
from funnel.ranker.logged import lists_of_clicks
from funnel.ranker.outcomes import Outcomes
from funnel.recipes import Recipe
from funnel.stages import Rank
from funnel.types import Candidates, EventKinds, Examples, Float64

log = logging.getLogger(__name__)


def train_ranker(contents: Contents, prepared: Prepared) -> tuple[Ranker | None, RankerFacts]:
    """Train a ranker for the candidates that `contents` retrieves, and judge it on users held out.

    Cross-fitting: the users of each fold are ranked by trees that were grown on the other folds. The ranker
    is then grown on all users, with the objective and the number of trees that did best on the training
    lists. None where users or retrieved positives are too few.
    """
    config = prepared.config
    examples = _window(contents, prepared)
    if _users(examples) < FOLDS:
        return _too_few(contents, examples)
    with step("choose the retrieval order"):
        order = retrieval_order(contents, examples, config.seed)
    contents = replace(contents, weights=order.weights)
    folds = _folds(examples, config.seed)
    with step("make the ranker's lists"):
        every, sizes, logged = _lists_of_folds(contents, prepared, folds)
    facts = RankerFacts.of(order, every, logged, config.ranker)
    if not all(sizes):
        log.warning("too little of the ranker's window was retrieved: the retrieval order is kept")
        return None, facts
    fold_of = np.repeat(np.arange(FOLDS), sizes)
    kinds = prepared.split.kinds
    of_kinds = every if logged is None and kinds is not None and len(kinds.target_names) > 1 else None
    with step("grow trees for each fold"):
        fitting = CrossFit(every, fold_of, config.ranker, config.scale.list_shards)
        del every  # LightGBM has its own, binned
        give_back()
        rankers = fitting.rankers()
    with step("judge them on users that they were not grown on"):
        verdict, outcomes = _verdict(contents, rankers, folds, config.seed)
    with step("calibrate its scores"):
        heads, no_heads = _heads(outcomes)
    further = Heads() if logged is None else shown_heads(logged, config.ranker)
    if of_kinds is not None:
        further = retrieved_heads(contents, kinds, of_kinds, folds, fold_of, config.ranker)
    chosen = rankers[0].config.model_copy(update={"trees": rankers[0].trees})
    with step("grow the ranker"):
        ranker = fitting.whole(chosen)
    if kinds is not None and len(kinds.target_names) == 1 and heads and not further.heads:
        heads[kinds.target_names[0]] = heads[EVENT]  # the only kind that is to be found
    facts = replace(facts, heads=heads, no_heads=no_heads, further=further)
    facts = replace(facts, worth=value_heads(contents, prepared, folds))
    return ranker, replace(facts, verdict=verdict, trees=chosen.trees, objective=chosen.objective)


def _window(contents: Contents, prepared: Prepared) -> Examples:
    """The requests of the ranker's window, some of them once more without their context."""
    examples = under(contents, prepared.split.ranker)
    rows = rows_again(contents, examples.requests.users, prepared.config.seed)
    return unknown_from(contents, examples.take(rows), len(examples))


def _lists_of_folds(
    contents: Contents, prepared: Prepared, folds: Sequence[Examples]
) -> tuple[TrainingLists, list[int], Logged | None]:
    """The training lists of all folds one after the other, how many each has, and what lists that were shown
    have to say."""
    config = prepared.config.ranker
    lists = [_lists(contents, fold, config, prepared.split.kinds) for fold in folds]
    logged = learn_from(contents, prepared, folds)
    if logged is not None:
        lists = _with_clicks(lists, logged, config)
    return concatenate(lists), [len(fold) for fold in lists], logged


def _heads(outcomes: Outcomes) -> tuple[dict[str, Head], str]:
    """Probabilities of what is a target; where too little happened, none, and why. outcomes: whose requests
    are called by their fold."""
    try:
        return {EVENT: calibrate(outcomes.scores, outcomes.labels, outcomes.requests)}, ""
    except DataError as error:
        log.warning("no probabilities: %s", error)
        return {}, str(error)


def _too_few(contents: Contents, examples: Examples) -> tuple[None, RankerFacts]:
    """With fewer users than folds nobody can be held out: there is no ranker, and sources weigh the same."""
    log.warning(
        "%d users in the ranker's window, and %d are needed to hold some out: the retrieval order is kept",
        _users(examples),
        FOLDS,
    )
    weights = {source.name: 1.0 / len(contents.sources()) for source in contents.sources()}
    return None, RankerFacts(order=Order(weights, None, {}), verdict=None, users=_users(examples))


def _users(examples: Examples) -> int:
    """The number of users; each request of an unknown user counts as a user of its own."""
    users = examples.requests.users
    return len(distinct(users[users >= 0])) + int((users < 0).sum())


def _folds(examples: Examples, seed: int) -> list[Examples]:
    """The examples of each fold of users, FOLDS in all; an unknown user is a user of its own."""
    users = examples.requests.users.astype(np.int64)
    users = np.where(users < 0, users.max() + 1 + np.arange(len(users)), users)
    known, user = np.unique(users, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(known)) % FOLDS)[user]
    return [examples.take(np.flatnonzero(fold == number)) for number in range(FOLDS)]


def _lists(
    contents: Contents, examples: Examples, config: RankerConfig, event_kinds: EventKinds | None
) -> TrainingLists:
    """Training lists from the shortlists that the funnel passes to the ranker."""
    names = () if event_kinds is None else event_kinds.target_names
    codes = {name: event_kinds.code(name) for name in names} if event_kinds is not None else {}
    recipe = Recipe(_list_maker, contents, config, codes)
    lists = list(each_chunk(recipe, examples))
    return concatenate(lists).some(max(1, config.lists // FOLDS), config.seed)


def _list_maker(
    contents: Contents, config: RankerConfig, codes: Mapping[str, int]
) -> Callable[[Examples], TrainingLists]:
    shorten, features = Funnel(contents.before_ranking()), contents.candidate_features()
    complete = contents.retriever().complete

    def lists(part: Examples) -> TrainingLists:
        shortlist = shorten(part.requests)
        kinds = {name: part.of_kind(code).targets for name, code in codes.items()}
        return training_lists(
            part.requests, shortlist, part.targets, features, config, complete=complete, kinds=kinds
        )

    return lists


def _with_clicks(lists: list[TrainingLists], logged: Logged, config: RankerConfig) -> list[TrainingLists]:
    """The lists of each fold, and as many more for the clicks of shown lists, at most."""
    most = max(1, config.lists // FOLDS)
    clicks = [lists_of_clicks(rows, logged.propensities, config.clip) for rows in logged.folds]
    return [
        concatenate([retrieved, shown.some(most, config.seed)])
        for retrieved, shown in zip(lists, clicks, strict=True)
    ]


def _verdict(
    contents: Contents, rankers: Sequence[Ranker], folds: Sequence[Examples], seed: int
) -> tuple[Difference, Outcomes]:
    """NDCG@10 of the shortlists as ranked less that as retrieved, paired by request, and what came of each
    candidate.

    Each user is ranked by trees that were grown on others, and lists are whole, as they are in serving.
    """
    size, width = sum(map(len, folds)), min(contents.retrieve.k, len(contents.catalogue.ids))
    outcomes = Outcomes.bounded(size, width, seed)
    before, after, users = [], [], []
    for number, (fold, ranker) in enumerate(zip(folds, rankers, strict=True)):
        for part, retrieved, ranked in each_chunk(Recipe(_ranked, contents, ranker), fold):
            before.append(retrieved)
            after.append(compute("ndcg@10", ranked.items, part.targets))
            outcomes.add(ranked, part.targets, np.full(len(part), number))
            users.append(part.requests.users)
    base, clusters = np.concatenate(before), np.concatenate(users)
    return paired(np.concatenate(after), base, clusters=clusters, seed=seed), outcomes


def _ranked(contents: Contents, ranker: Ranker) -> Callable[[Examples], tuple[Examples, Float64, Candidates]]:
    """Some requests, NDCG@10 of their shortlists, and these as the ranker has them."""
    shorten = Funnel(contents.before_ranking())
    rank = Rank(ranker, contents.candidate_features())

    def ranked(part: Examples) -> tuple[Examples, Float64, Candidates]:
        shortlist = shorten(part.requests)
        retrieved = compute("ndcg@10", shortlist.items, part.targets)
        return part, retrieved, rank(part.requests, shortlist)

    return ranked
