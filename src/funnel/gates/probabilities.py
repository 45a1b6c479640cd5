"""Are the probabilities right: what they said of the candidates of whole lists, and what happened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data import Schema
from funnel.engine import Funnel
from funnel.errors import DataError
from funnel.evaluation.reliability import Reliability, reliability
from funnel.evaluation.walk import one_step, walk
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_most, could_not_look
from funnel.gates.parts import known_parts
from funnel.ranker.outcomes import Outcomes
from funnel.stages import Rank
from funnel.types import Bool, Examples

#: Requests of the holdout whose lists are looked at.
_MOST = 4000


def calibration(
    contents: Contents, schema: Schema, examples: Examples, config: GatesConfig, seed: int
) -> list[Finding]:
    """For each head two: its ECE beyond what right probabilities would have on so few candidates, and how far
    what was predicted in all is from what happened, by the end of the interval that is nearer to 1.

    Nothing where the bundle has no probabilities. Fails where there is no candidate that happened.
    """
    if not contents.heads or contents.ranker is None:
        return []
    rows = np.sort(np.random.default_rng(seed).permutation(len(examples))[:_MOST])
    some = examples.take(rows)
    outcomes = Outcomes.bounded(len(some), contents.retrieve.k, seed)
    ranking = Funnel([*contents.before_ranking(), Rank(contents.ranker, contents.candidate_features())])
    walk(
        [one_step("stage", "rank", ranking)],
        some,
        len(contents.catalogue.ids),
        1,
        observers={"rank": outcomes.observe},
        timed=False,
    )
    try:
        measured = measure_probabilities(contents, schema, some, outcomes, seed, slices=False)
    except DataError as error:
        return [could_not_look("calibration", str(error))]
    return [finding for head in measured for finding in _findings(head, config)]


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
    outcomes: Outcomes,
    seed: int,
    *,
    slices: bool = True,
) -> tuple[Reliability, ...]:
    """How right each head is. outcomes: the ranker's scores of the examples' candidates, by request number.

    slices: whether by parts of the candidates too. Raises: DataError where nothing says so.
    """
    users = examples.requests.users[outcomes.requests]
    users = np.where(users < 0, -1 - outcomes.requests, users)  # an unknown user is one of their own
    return tuple(
        reliability(
            name,
            head.calibration.method,
            head(outcomes.scores),
            outcomes.labels,
            np.unique(users, return_inverse=True)[1],
            _slices(contents, schema, examples, outcomes) if slices else (),
            seed=seed,
        )
        for name, head in contents.heads.items()
    )


def _slices(
    contents: Contents, schema: Schema, examples: Examples, outcomes: Outcomes
) -> Iterator[tuple[str, Bool]]:
    """Parts of the candidates, by what is known before: of the request, and of the item."""
    by_request, by_item = known_parts(contents, schema, examples)
    for name, of_requests in by_request:
        yield name, of_requests[outcomes.requests]
    for name, of_items in by_item:
        yield name, of_items[outcomes.items]
