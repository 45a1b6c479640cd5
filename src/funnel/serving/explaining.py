"""Why the ranker gives an item its score."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.engine import RANK
from funnel.errors import FunnelError
from funnel.serving.encoding import encoded
from funnel.serving.given import among, living_item
from funnel.serving.parts import ServingParts
from funnel.serving.request import Request
from funnel.values.shown import shown


def explain(parts: ServingParts, request: Request, item_id: Any) -> dict[str, float]:
    """See `Live.explain`. request: with the time that the caller gave."""
    loaded = parts.chosen(request.user_id).loaded
    contents, version = loaded.contents, loaded.version
    if contents.ranker is None:
        raise FunnelError(f"{version} keeps the retrieval order: there is no ranker to explain")
    row = living_item(contents, version, item_id)
    requests, _ = encoded(parts, loaded, parts.at_moment(request))
    requests = among(contents, requests, np.array([row], dtype=np.int32))
    steps = loaded.ranking().trace(requests)
    placed = steps[[step.name for step in steps].index(RANK) - 1].candidates
    if not placed.filled.any():
        raise FunnelError(f"item {shown(item_id)} was left out by a stage in front of the ranker")
    return contents.ranker.explain(contents.candidate_features().matrix(requests, placed)[0, 0])
