"""What users did beside what the bundle knows, and the history that both make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funnel.errors import BundleError
from funnel.serving import arguments
from funnel.serving.histories import RecentInteractions, events_of, history
from funnel.serving.parts import ServingParts


def recent_interactions(parts: ServingParts, user_id: Any) -> RecentInteractions:
    """See `Live.recent_interactions`."""
    try:
        return parts.users.events(arguments.known(user_id))
    except BundleError as error:
        parts.follower.error = str(error)
        return parts.users.events_last_known(arguments.known(user_id))


def recent_interactions_of_each(parts: ServingParts, user_ids: Sequence[Any]) -> list[RecentInteractions]:
    """The same for each of several users, read together."""
    try:
        return list(parts.users.events_of_each([arguments.known(user_id) for user_id in user_ids]))
    except BundleError as error:
        parts.follower.error = str(error)
        return [parts.users.events_last_known(arguments.known(user_id)) for user_id in user_ids]


def history_of(parts: ServingParts, user_id: Any) -> list[Any]:
    """See `Live.history`."""
    contents = parts.served().contents
    row = contents.users.ids.row(arguments.known(user_id))
    events = events_of(contents, row, recent_interactions(parts, user_id))
    return contents.catalogue.ids.take(history(contents, events).items)
