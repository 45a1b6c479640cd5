"""A request as what is served reads it: with what its user did lately and what caps and budgets go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from funnel.serving import arguments
from funnel.serving.loaded import Loaded
from funnel.serving.occasion import occasion_of
from funnel.serving.parts import ServingParts
from funnel.serving.recent import recent_interactions
from funnel.serving.request import Request, encode_request
from funnel.types import Requests


def encoded(parts: ServingParts, loaded: Loaded, request: Request) -> tuple[Requests, list[str]]:
    """One request in row numbers, and the codes of what was missing. Raises: see `encode_request`."""
    return encode_request(loaded.contents, request, recent_interactions(parts, request.user_id))


def on_occasion(
    parts: ServingParts, loaded: Loaded, requests: Requests, user_ids: Sequence[Any], time: int | None
) -> Requests:
    """See `Live.on_occasion`."""
    seconds = arguments.moment(time)
    occasion, error = occasion_of(loaded.contents, parts.impressions, user_ids, seconds, loaded.manifest.seed)
    if error is not None:
        parts.follower.error = error
    return requests if occasion is None else replace(requests, occasion=occasion)
