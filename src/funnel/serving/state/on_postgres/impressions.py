"""What users were shown, in the PostgreSQL database of the state: see `ImpressionLog`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from funnel.errors import BundleError
from funnel.rules.config import LONGEST_DAYS
from funnel.serving.state import parts
from funnel.serving.state.impressions import MOST, MOST_OF_USER
from funnel.serving.state.log import Event
from funnel.serving.state.on_postgres.server import PostgresServer
from funnel.serving.state.on_postgres.tables import NOW, meant, text
from funnel.serving.state.once import CallKey, Write

log = logging.getLogger(__name__)

#: After so many impressions of this process, it removes what is beyond, and of those too old so many.
_EVERY, _OLD = 1000, 5000

_ADD = (
    f'INSERT INTO funnel.impressions ("user", item, time, seen) SELECT u, i, t, {NOW} FROM '
    "unnest(%s::text[], %s::text[], %s::bigint[]) AS given (u, i, t)"
)
_BEYOND = (
    'DELETE FROM funnel.impressions WHERE "user" = %(user)s AND number <= (SELECT number FROM '
    'funnel.impressions WHERE "user" = %(user)s ORDER BY number DESC LIMIT 1 OFFSET %(most)s)'
)
_OLDEST = "DELETE FROM funnel.impressions WHERE number <= (SELECT max(number) FROM funnel.impressions) - %s"
_TOO_OLD = (
    "DELETE FROM funnel.impressions WHERE seen < {bound} AND time < {bound} AND number IN "
    "(SELECT number FROM funnel.impressions ORDER BY number LIMIT {most})"
).format(bound=f"{NOW} - {LONGEST_DAYS * 86_400}", most=_OLD)


class PostgresImpressions:
    """An `ImpressionLog` in a PostgreSQL database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._until_pruned = 0

    def observe(self, shown: Sequence[Event], key: CallKey | None = None) -> int:
        """See `ImpressionLog`. More than 2,000 are written in parts."""
        added = parts.of_events(shown, key, "impressions", self._observe)
        self._until_pruned += added
        if self._until_pruned >= _EVERY:
            self._until_pruned = 0
            self._prune(sorted({event.user_id for event in shown}))
        return added

    def _observe(self, shown: Sequence[Event], write: Write) -> bool:
        users, items, times = (list(column) for column in zip(*(event[:3] for event in shown), strict=True))
        given = [text(user) for user in users], [text(item) for item in items], times

        def add(connection: Any) -> bool:
            connection.execute(_ADD, given)
            return True

        return self._server.write(write, add) or False

    def now(self) -> float:
        """See `ImpressionLog`."""
        return self._server.now(patient=False)

    def of(self, user: str, after: int) -> list[tuple[str, int]]:
        """See `ImpressionLog`."""
        sql = 'SELECT item, time FROM funnel.impressions WHERE "user" = %s AND time > %s'
        return [(meant(item), at) for item, at in self._server.request(sql, text(user), after)]

    def forget(self, user: str) -> int:
        """See `ImpressionLog`. What the server's files hold of it goes as it cleans them (VACUUM)."""
        sql = 'DELETE FROM funnel.impressions WHERE "user" = %s'
        gone = self._server.write(
            Write.new(), lambda connection: int(connection.execute(sql, (text(user),)).rowcount)
        )
        return gone or 0

    def size(self) -> int:
        """See `ImpressionLog`."""
        few = "(SELECT count(*) FROM (SELECT FROM funnel.impressions LIMIT 10001) AS few)"
        span = "(SELECT coalesce(max(number) - min(number) + 1, 0) FROM funnel.impressions)"
        some, all_ = self._server.request(f"SELECT {few}, {span}", patient=True)[0]
        return int(some if some <= 10_000 else all_)

    def close(self) -> None:
        """The connections are the state's."""

    def _prune(self, users: Sequence[str]) -> None:
        def prune(connection: Any) -> None:
            for user in users:
                connection.execute(_BEYOND, {"user": text(user), "most": MOST_OF_USER})
            connection.execute(_OLDEST, (MOST,))
            connection.execute(_TOO_OLD)

        try:
            self._server.write(Write.new(), prune)
        except BundleError as error:  # they are kept, and so is what could have gone
            log.warning("%s", error)
