"""A list that a caller brings, in the ranker's order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from funnel.serving import arguments
from funnel.serving.encoding import encoded
from funnel.serving.finishing import finished
from funnel.serving.given import among, given_items
from funnel.serving.parts import ServingParts
from funnel.serving.recording import Called, in_front
from funnel.serving.request import Request
from funnel.serving.response import Answer


def rank(
    parts: ServingParts,
    request: Request,
    items: Iterable[Any],
    *,
    attributes: Iterable[str] | None,
    rerank: bool,
) -> Answer:
    """See `Live.rank`. request: with the time that the caller gave."""
    chosen = parts.chosen(request.user_id)
    loaded = chosen.loaded
    columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
    rows, missing = given_items(loaded.contents, items)
    funnel = loaded.ranking(arguments.reranked(rerank, len(rows)))
    request = parts.at_moment(request)
    requests, reasons = encoded(parts, loaded, request)
    requests = among(loaded.contents, requests, rows)
    steps = funnel.trace(requests)
    given = Called("rank", request, in_front(loaded.contents, steps))
    return finished(parts, chosen, given, requests, steps, len(rows), [*missing, *reasons], columns)
