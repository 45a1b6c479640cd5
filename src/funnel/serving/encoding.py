"""A request as what is served reads it: with what its user did lately and what caps and budgets go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from funnel.serving import arguments
from funnel.serving.loaded import Loaded
from funnel.serving.occasion import occasion_of
from funnel.serving.parts import ServingParts
from funnel.serving.recent import read
from funnel.serving.request import Request, encode_request
from funnel.serving.response import STATE_UNREADABLE
from funnel.types import Int64, Requests


def encoded(
    parts: ServingParts, loaded: Loaded, request: Request, seeds: Int64 | None = None
) -> tuple[Requests, list[str]]:
    """One request in row numbers, and the codes of what was missing. Raises: see `encode_request`."""
    recent, readable = read(parts, request.user_id)
    requests, reasons = encode_request(loaded.contents, request, recent, seeds)
    return requests, reasons if readable else [*reasons, STATE_UNREADABLE]


def on_occasion(
    parts: ServingParts, loaded: Loaded, requests: Requests, user_ids: Sequence[Any], time: int | None
) -> Requests:
    """See `Live.on_occasion`."""
    seconds = arguments.moment(time)
    occasion, error = occasion_of(loaded.contents, parts.impressions, user_ids, seconds, loaded.manifest.seed)
    parts.unread["impressions"] = error
    return requests if occasion is None else replace(requests, occasion=occasion)
