"""Why an item is in an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

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
) -> tuple[Recommendation, ...]:
    """The filled positions of a single answer, with ids, sources and reason codes.

    attributes: names of item columns; default all but vectors. ranked: what the ranker left, for
    probabilities; None where it did not rank.
    """
    n = int(np.count_nonzero(final.items[0] >= 0))  # empty places come last
    rows = final.items[0, :n]
    ids, records = contents.catalogue.ids.take(rows), contents.catalogue.records(rows, attributes)
    likes = _likes(contents, requests, final.items[:1, :n])
    scores, ranks = final.scores[0, :n].tolist(), final.source_ranks[0, :n].tolist()
    has_history = len(requests.history.values) > 0
    probable = probabilities(contents.heads, ranked, rows)
    worth = values(contents.expected_value, ranked, rows, requests.context_numbers)
    shown: list[Recommendation] = []
    rules = final.outcomes[0].touched if final.outcomes else ()
    drawn = [1.0] * n if final.propensities is None else final.propensities[0, :n].tolist()
    for item_id, score, of_sources, like, columns, chances, (value, reached), propensity in zip(
        ids, scores, ranks, likes, records, probable, worth, drawn, strict=True
    ):
        sources = {name: rank + 1 for name, rank in zip(final.sources, of_sources, strict=True) if rank >= 0}
        ruled = [f"{RULE}{name}" for name in rules[len(shown)]] if rules else []
        reasons = (
            *ruled,
            *_of_value(value, reached=reached),
            *_codes(sources, like, has_history=has_history),
        )
        shown.append(Recommendation(item_id, score, sources, reasons, columns, chances, value, propensity))
    return tuple(shown)


def _likes(contents: Contents, requests: Requests, items: Int32) -> list[Any]:
    """For each item [1, n] the id of the history's item that most often occurs together with it, or None."""
    rows = contents.statistics.covisitation.nearest(requests.history, items)[0]
    ids = iter(contents.catalogue.ids.take(rows[rows >= 0]))
    return [next(ids) if there else None for there in (rows >= 0).tolist()]


def _of_value(value: Mapping[str, float], *, reached: bool) -> list[str]:
    """Why an item stands behind others of less expected value."""
    if value and math.isnan(value["expected"]):
        return [NO_VALUE]
    return [] if reached else [BELOW_FLOOR]


def _codes(sources: dict[str, int], like: Any, *, has_history: bool) -> list[str]:
    """`similar_to:<id>`, the history's item that most often occurs together with it; then the sources."""
    codes = [] if like is None else [f"similar_to:{like}"]
    if "towers" in sources:
        codes.append("matches_history" if has_history else "matches_profile")
    if "popular" in sources:
        codes.append("popular")
    return codes


def in_words(code: str, contents: Contents) -> str:
    """A reason code for people; `similar_to` names the other item by its title."""
    name, _, other = code.partition(":")
    if name == "similar_to":
        return f"like {contents.catalogue.title(other)}"
    return code.replace(":", " ") if other else name.replace("_", " ")
