"""A request that was answered, as another arm reads it."""

from __future__ import annotations

from dataclasses import replace

from funnel.serving.arms import Chosen
from funnel.serving.occasion import occasion_of
from funnel.serving.request import Request, encode_request
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.users import LiveUsers
from funnel.types import Requests


class Readers:
    """Reads requests for arms of one process, with what users did and what caps and budgets go by."""

    def __init__(self, users: LiveUsers, impressions: ImpressionLog) -> None:
        self._users, self._impressions = users, impressions

    def requests(self, chosen: Chosen, request: Request) -> Requests:
        """In the rows of what answers. Raises: as `encode_request`."""
        contents, user = chosen.loaded.contents, request.user_id
        requests, _ = encode_request(contents, request, self._users.events(user))
        seed = chosen.loaded.manifest.seed
        occasion, _ = occasion_of(contents, self._impressions, [user], request.time, seed)
        return requests if occasion is None else replace(requests, occasion=occasion)


def kept(request: Request) -> Request | None:
    """The request as it is now, whatever its caller does with the lists; None where one can be read once
    only."""
    if not isinstance(request.history, list | tuple | None) or not isinstance(
        request.exclude, list | tuple | None
    ):
        return None
    return replace(
        request,
        history=None if request.history is None else tuple(request.history),
        exclude=None if request.exclude is None else tuple(request.exclude),
        user=None if request.user is None else dict(request.user),
        context=None if request.context is None else dict(request.context),
    )
