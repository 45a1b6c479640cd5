"""Are the probabilities right: what they said of the candidates of whole lists, and what happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data import Schema
from funnel.engine import Funnel
from funnel.errors import DataError
from funnel.evaluation.reliability import Reliability, reliability
from funnel.evaluation.walk import Competitor, Observer, one_step, walk
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most, could_not_look
from funnel.gates.parts import known_parts
from funnel.gates.shown import shown_outcomes
from funnel.ranker.calibration import EVENT
from funnel.ranker.outcomes import Outcomes
from funnel.recipes import Recipe
from funnel.types import Bool, Candidates, Examples, Int64

#: Requests of the holdout whose lists are looked at.
_MOST = 4000

#: Where so many are expected, that none happened has a chance of less than 5% (Poisson).
_SURE = 3.0


def calibration(
    contents: Contents,
    schema: Schema,
    examples: Examples,
    config: GatesConfig,
    seed: int,
    shown: Examples | None = None,
) -> list[Finding]:
    """For each head two: its ECE beyond what right probabilities would have on so few candidates, and how far
    what was predicted in all is from what happened, by the end of the interval that is nearer to 1.

    Nothing where the bundle has no probabilities. Fails where there is no candidate that happened. shown:
    lists of the holdout that were shown, for heads that are of these.
    """
    if not contents.heads or contents.ranker is None:
        return []
    rows = np.sort(np.random.default_rng(seed).permutation(len(examples))[:_MOST])
    some = examples.take(rows)
    outcomes = watched(contents, len(some), seed)
    walk(
        Recipe(_ranking, contents),
        some,
        len(contents.catalogue.ids),
        1,
        observers={"rank": observe_all(outcomes)},
        timed=False,
    )
    return [
        *_judged(contents, schema, some, outcomes, config, seed),
        *_of_shown(contents, schema, shown, config, seed),
    ]


def _ranking(contents: Contents) -> list[Competitor]:
    assert contents.ranker is not None
    ranking = Funnel([*contents.before_ranking(), contents.rank_stage(contents.ranker)])
    return [one_step("stage", "rank", ranking)]


def _of_shown(
    contents: Contents, schema: Schema, shown: Examples | None, config: GatesConfig, seed: int
) -> list[Finding]:
    """Findings of heads that are of shown lists. Fails where the bundle has no such list to look at."""
    names = [name for name in contents.heads if contents.is_of_shown(name)]
    if not names:
        return []
    if shown is None:
        reason = f"the holdout has no list that was shown, and p_{names[0]} is of such lists"
        return [could_not_look("calibration", reason)]
    return _judged(contents, schema, shown, shown_outcomes(contents, shown), config, seed)


def _judged(
    contents: Contents,
    schema: Schema,
    examples: Examples,
    outcomes: Mapping[str, Outcomes],
    config: GatesConfig,
    seed: int,
) -> list[Finding]:
    try:
        measured = measure_probabilities(contents, schema, examples, outcomes, seed, slices=False)
    except DataError as error:
        return [could_not_look("calibration", str(error))]
    return [finding for head in measured for finding in _findings(head, config)]


def watched(contents: Contents, requests: int, seed: int) -> dict[str, Outcomes]:
    """What gets the scores and outcomes of candidates, by head, of so many requests; heads of shown lists are
    not among them."""
    names = [name for name in contents.heads if not contents.is_of_shown(name)]
    width = contents.retrieve.k
    return {name: Outcomes.bounded(requests, width, seed, name, contents.heads[name].kind) for name in names}


def observe_all(outcomes: Mapping[str, Outcomes]) -> Observer:
    """The ranker's stage observed for each head."""

    def observe(examples: Examples, numbers: Int64, candidates: Candidates) -> None:
        for of in outcomes.values():
            of.observe(examples, numbers, candidates)

    return observe


def _findings(head: Reliability, config: GatesConfig) -> list[Finding]:
    beyond = max(0.0, head.ece.mean - head.chance_ece)
    what = f"{head.sentence}; ECE beyond chance"
    off = max(head.ratio.lo, 1 / head.ratio.hi if head.ratio.hi > 0 else np.inf, 1.0)
    apart = f"p_{head.head}: predicted over happened, or the other way round, beyond chance"
    return [
        at_most("calibration", beyond, config.calibration_error, what),
        at_most("calibration", off, config.calibration_ratio, apart),
    ]


def measure_probabilities(
    contents: Contents,
    schema: Schema,
    examples: Examples,
    outcomes: Mapping[str, Outcomes],
    seed: int,
    *,
    slices: bool = True,
) -> tuple[Reliability, ...]:
    """How right heads are. outcomes: by head, scores of the examples' items, by request number. What was not
    looked at could not happen: a shown item has its probability times how far its position is looked at.

    A kind of event that came of nothing, and of which hardly any was predicted, is left out. slices: whether
    by parts of the candidates too. Raises: DataError where nothing says so.
    """
    measured = []
    for name, of in outcomes.items():
        head = contents.heads[name]
        chances = of.examined * head(of.scores)
        if name != EVENT and not of.labels.any() and chances.sum() < _SURE:
            continue
        users = examples.requests.users[of.requests]
        users = np.where(users < 0, -1 - of.requests, users)  # an unknown user is one of their own
        measured.append(
            reliability(
                name,
                head.calibration.method,
                chances,
                of.labels,
                np.unique(users, return_inverse=True)[1],
                _slices(contents, schema, examples, of) if slices else (),
                seed=seed,
            )
        )
    return tuple(measured)


def _slices(
    contents: Contents, schema: Schema, examples: Examples, outcomes: Outcomes
) -> Iterator[tuple[str, Bool]]:
    """Parts of the candidates, by what is known before: of the request, and of the item."""
    by_request, by_item = known_parts(contents, schema, examples)
    for name, of_requests in by_request:
        yield name, of_requests[outcomes.requests]
    for name, of_items in by_item:
        yield name, of_items[outcomes.items]
