"""Why an item is in an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from funnel.bundle.contents import Contents
from funnel.serving.probabilities import probabilities, values
from funnel.serving.response import BELOW_FLOOR, NO_VALUE, RULE, Recommendation
from funnel.types import Candidates, Int32, Requests


def recommendations(
    contents: Contents,
    requests: Requests,
    final: Candidates,
    attributes: Sequence[str] | None = None,
    ranked: Candidates | None = None,
    like: Int32 | None = None,
) -> tuple[Recommendation, ...]:
    """The filled positions of a single answer, with ids, sources and reason codes.

    attributes: names of item columns; default all but vectors. ranked: what the ranker left, for
    probabilities; None where it did not rank. like: what `nearest_of_history` gave, where that is known.
    """
    like = nearest_of_history(contents, requests, final) if like is None else like
    n = int(np.count_nonzero(final.items[0] >= 0))  # empty places come last
    rows = final.items[0, :n]
    sources = _sources(final, n)
    worth = values(contents.expected_value, ranked, rows, requests.context_numbers)
    columns = (
        contents.catalogue.ids.take(rows),
        final.scores[0, :n].tolist(),
        sources,
        _reasons(final, worth, _similar(contents, like, n), sources, requests),
        contents.catalogue.records(rows, attributes),
        probabilities(contents.heads, ranked, rows),
        [value for value, _ in worth],
        [1.0] * n if final.propensities is None else final.propensities[0, :n].tolist(),
    )
    return tuple([Recommendation(*of_item) for of_item in zip(*columns, strict=True)])


def _sources(final: Candidates, n: int) -> list[dict[str, int]]:
    """Of each item its rank, from 1, in each source that found it."""
    names = final.sources
    return [
        {name: rank + 1 for name, rank in zip(names, ranks, strict=True) if rank >= 0}
        for ranks in final.source_ranks[0, :n].tolist()
    ]


def nearest_of_history(contents: Contents, requests: Requests, final: Candidates) -> Int32:
    """For each position the row of the history's item that most often occurs together with the item there,
    −1 where none does: int32 [B, K]."""
    return contents.statistics.covisitation.nearest(requests.history, final.items)


def _similar(contents: Contents, like: Int32, n: int) -> list[tuple[str, ...]]:
    """For each of the first n items of one list `similar_to:<id>`. like: [1, K]."""
    rows = like[0, :n].tolist()
    known = [row for row in rows if row >= 0]
    name_of = dict(zip(known, contents.catalogue.ids.take(np.array(known, dtype=np.int32)), strict=True))
    return [(f"similar_to:{name_of[row]}",) if row >= 0 else () for row in rows]


def _reasons(
    final: Candidates,
    worth: Sequence[tuple[Mapping[str, float], bool]],
    similar: Sequence[tuple[str, ...]],
    sources: Sequence[Mapping[str, int]],
    requests: Requests,
) -> list[tuple[str, ...]]:
    """Of each item: what put it there, why it stands behind others, what it is like, and who found it."""
    touched = final.outcomes[0].touched[: len(worth)] if final.outcomes else ()
    rules = [tuple(f"{RULE}{name}" for name in names) for names in touched] or [()] * len(worth)
    matches = "matches_history" if len(requests.history.values) else "matches_profile"
    return [
        (
            *ruled,
            *([NO_VALUE] if value and math.isnan(value["expected"]) else [] if reached else [BELOW_FLOOR]),
            *like,
            *([matches] if "towers" in ranks else []),
            *(["popular"] if "popular" in ranks else []),
        )
        for ruled, (value, reached), like, ranks in zip(rules, worth, similar, sources, strict=True)
    ]


def in_words(code: str, contents: Contents) -> str:
    """A reason code for people; `similar_to` names the other item by its title."""
    name, _, other = code.partition(":")
    if name == "similar_to":
        return f"like {contents.catalogue.title(other)}"
    return code.replace(":", " ") if other else name.replace("_", " ")
