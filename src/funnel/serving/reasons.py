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
    n = _filled(final)
    rows = final.items[0, :n]
    sources = _sources(final, n)
    worth = values(contents.expected_value, ranked, rows, requests.context_numbers)
    near = like[0, :n]
    ids = contents.catalogue.ids.take(np.concatenate((rows, np.maximum(near, 0))))
    similar = [
        (f"similar_to:{of}",) if row >= 0 else () for of, row in zip(ids[n:], near.tolist(), strict=True)
    ]
    columns = (
        ids[:n],
        final.scores[0, :n].tolist(),
        sources,
        _reasons(final, worth, similar, sources, requests),
        contents.catalogue.records(rows, attributes),
        probabilities(contents.heads, ranked, rows),
        [value for value, _ in worth],
        [1.0] * n if final.propensities is None else final.propensities[0, :n].tolist(),
    )
    return tuple([Recommendation(*of_item) for of_item in zip(*columns, strict=True)])


def _filled(final: Candidates) -> int:
    """How many positions of a single list hold an item: empty ones come last."""
    items = final.items[0].tolist()
    return items.index(-1) if -1 in items else len(items)


def _sources(final: Candidates, n: int) -> list[dict[str, int]]:
    """Of each item its rank, from 1, in each source that found it."""
    names, of_each = final.sources, list[dict[str, int]]()
    for ranks in final.source_ranks[0, :n].tolist():
        of_each += (of_item := {},)  # a comprehension of one's own would be a call an item
        for name, rank in zip(names, ranks, strict=True):
            if rank >= 0:
                of_item[name] = rank + 1
    return of_each


def nearest_of_history(contents: Contents, requests: Requests, final: Candidates) -> Int32:
    """For each position the row of the history's item that most often occurs together with the item there,
    −1 where none does: int32 [B, K]."""
    return contents.statistics.covisitation.nearest(requests.history, final.items)


def _reasons(
    final: Candidates,
    worth: Sequence[tuple[Mapping[str, float], bool]],
    similar: Sequence[tuple[str, ...]],
    sources: Sequence[Mapping[str, int]],
    requests: Requests,
) -> list[tuple[str, ...]]:
    """Of each item: what put it there, why it stands behind others, what it is like, and who found it."""
    rules: Sequence[tuple[str, ...]] = [()] * len(worth)
    if final.outcomes and (touched := final.outcomes[0].touched[: len(worth)]):
        rules = [tuple([f"{RULE}{name}" for name in names]) for names in touched]
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
