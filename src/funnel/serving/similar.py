"""The items nearest to an item."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from funnel.serving import arguments
from funnel.serving.arms import Chosen
from funnel.serving.encoding import encoded
from funnel.serving.finishing import finished
from funnel.serving.given import beside, given_items
from funnel.serving.parts import ServingParts
from funnel.serving.recording import Called, in_front
from funnel.serving.request import Request
from funnel.serving.response import EMPTY_HISTORY, Answer


def similar(
    parts: ServingParts, request: Request, item_id: Any, k: int, *, attributes: Iterable[str] | None
) -> Answer:
    """See `Live.similar`. request: with the time that the caller gave."""
    arguments.user(request.user_id)
    wanted, loaded = arguments.item_count(k), parts.served()
    chosen = Chosen(loaded, parts.follower.position)
    columns = arguments.attributes(attributes, loaded.contents.catalogue.names)
    rows, missing = given_items(loaded.contents, [item_id])
    is_nobody = request.user_id is None
    request = replace(parts.at_moment(request), history=() if is_nobody else None)
    requests, reasons = encoded(parts, loaded, request)
    if not len(rows):
        return Answer(request.user_id, (), loaded.version, tuple(missing), {}, chosen.state)
    requests = beside(requests, int(rows[0]))
    steps = loaded.neighbours(wanted).trace(requests)
    codes = [] if is_nobody else [code for code in reasons if code != EMPTY_HISTORY]
    given = Called("similar", request, in_front(loaded.contents, steps))
    return finished(parts, chosen, given, requests, steps, wanted, codes, columns)
