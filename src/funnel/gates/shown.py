"""What came of lists that were shown, beside the scores that the ranker's heads give to their items."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.data.attribution import OUTCOME
from funnel.engine import Funnel
from funnel.ranker.logged import entries
from funnel.ranker.membership import contains
from funnel.ranker.outcomes import Outcomes
from funnel.types import Candidates, Examples, Int64

#: Requests that are looked at together: bounds memory, not results.
_BATCH = 256


def shown_outcomes(contents: Contents, examples: Examples) -> dict[str, Outcomes]:
    """For each head that is of shown lists, every item of these, with how far its position is looked at.

    examples: whose `shown` has the columns `position` and `outcome.click` and so on. Items that a request
    excludes are left out.
    """
    names = [name for name in contents.heads if contents.is_of_shown(name)]
    outcomes = {name: Outcomes(1.0, 0, name) for name in names}
    if not names or contents.ranker is None:
        return {}
    ranking = Funnel(contents.placing(contents.ranker))
    for start in range(0, len(examples), _BATCH):
        numbers = np.arange(start, min(start + _BATCH, len(examples)))
        part = examples.take(numbers)
        ranked = ranking(part.requests)
        for name, of in outcomes.items():
            _add(of, name, contents, part, numbers, ranked)
    return outcomes


def _add(
    outcomes: Outcomes, name: str, contents: Contents, part: Examples, numbers: Int64, ranked: Candidates
) -> None:
    shown = part.requests.shown
    assert shown is not None
    assert contents.propensities is not None
    at = entries(shown, ranked)
    kept = at >= 0
    if part.requests.exclude is not None:
        kept &= ~contains(part.requests.exclude, ranked.items)
    column = shown.columns.get(OUTCOME + name)
    if column is None:
        return
    outcomes.add_rows(
        ranked.head_scores.get(name, ranked.scores)[kept],
        column[at[kept]] > 0,
        ranked.items[kept],
        np.repeat(numbers, kept.sum(axis=1)),
        contents.propensities.examined(shown.columns["position"][at[kept]].astype(np.int64)),
    )
