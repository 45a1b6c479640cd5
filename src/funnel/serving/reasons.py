"""Why an item is in an answer."""

from __future__ import annotations

from typing import Any

from funnel.bundle.contents import Contents
from funnel.serving.response import Recommendation
from funnel.types import Candidates, Requests


def recommendations(contents: Contents, requests: Requests, final: Candidates) -> tuple[Recommendation, ...]:
    """The filled places of a single answer, with ids, sources and reason codes."""
    rows = final.items[0][final.filled[0]]
    ids = contents.catalogue.ids.values
    names = ids[rows].tolist()
    likes = contents.statistics.covisitation.nearest(requests.history, final.items)[0]
    attributes = contents.catalogue.records(rows)
    has_history = len(requests.history.values) > 0
    made = []
    for place in range(len(rows)):
        sources = {
            name: int(rank) + 1
            for name, rank in zip(final.sources, final.source_ranks[0, place], strict=True)
            if rank >= 0
        }
        like = ids[likes[place]] if likes[place] >= 0 else None
        made.append(
            Recommendation(
                item_id=names[place],
                score=float(final.scores[0, place]),
                sources=sources,
                reasons=tuple(_codes(sources, like, has_history=has_history)),
                attributes=attributes[place],
            )
        )
    return tuple(made)


def _codes(sources: dict[str, int], like: Any, *, has_history: bool) -> list[str]:
    """`similar_to:<id>` for the item of the history that it is most often met with; then the sources."""
    codes = [] if like is None else [f"similar_to:{like}"]
    if "towers" in sources:
        codes.append("matches_history" if has_history else "matches_profile")
    if "popular" in sources:
        codes.append("popular")
    return codes


def in_words(code: str, contents: Contents) -> str:
    """A reason code for people; `similar_to` names the other item by its title."""
    name, _, other = code.partition(":")
    return f"like {contents.catalogue.title(other)}" if other else name.replace("_", " ")
