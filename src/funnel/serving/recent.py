"""What users did beside what the bundle knows, and the history that both make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funnel.errors import BundleError
from funnel.serving import arguments
from funnel.serving.histories import RecentInteractions, events_of, history
from funnel.serving.parts import ServingParts


def read(parts: ServingParts, user_id: Any) -> tuple[RecentInteractions, bool]:
    """The events of a user, and whether they could be read: else they are those that were read last."""
    user = arguments.known(user_id)
    try:
        events = parts.users.events(user)
    except BundleError as error:
        parts.unread["events"] = str(error)
        return parts.users.events_last_known(user), False
    parts.unread["events"] = None
    return events, True


def read_together(parts: ServingParts, user_ids: Sequence[Any]) -> tuple[list[RecentInteractions], bool]:
    """The same for each of several users."""
    users = [arguments.known(user_id) for user_id in user_ids]
    try:
        events = parts.users.events_of_each(users)
    except BundleError as error:
        parts.unread["events"] = str(error)
        return [parts.users.events_last_known(user) for user in users], False
    parts.unread["events"] = None
    return list(events), True


def history_of(parts: ServingParts, user_id: Any) -> list[Any]:
    """See `Live.history`."""
    arguments.user(user_id)
    contents = parts.served().contents
    row = contents.users.ids.row(arguments.known(user_id))
    events = events_of(contents, row, read(parts, user_id)[0])
    return contents.catalogue.ids.take(history(contents, events).items)
