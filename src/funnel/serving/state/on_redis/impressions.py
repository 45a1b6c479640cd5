"""What users were shown, on the Redis server of the state: see `ImpressionLog`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

from funnel.rules.config import LONGEST_DAYS
from funnel.serving.state import parts
from funnel.serving.state.impressions import MOST_OF_USER
from funnel.serving.state.log import Event
from funnel.serving.state.on_redis import scripts
from funnel.serving.state.on_redis.server import RedisServer
from funnel.serving.state.once import CallKey, Write


class RedisImpressions:
    """An `ImpressionLog` on a Redis server, of the newest 10,000 impressions of each user."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def observe(self, shown: Sequence[Event], key: CallKey | None = None) -> int:
        """See `ImpressionLog`. More than 2,000 are written in parts."""
        return parts.of_events(shown, key, "impressions", self._observe)

    def _observe(self, shown: Sequence[Event], write: Write) -> bool:
        given: list[Any] = [MOST_OF_USER, LONGEST_DAYS * 86_400]
        for user, item, at, *_ in shown:
            given += [user, item, at]
        return self._server.write(write, scripts.SHOWN, given, fresh=uuid.uuid4().hex) is not None

    def now(self) -> float:
        """See `ImpressionLog`."""
        return self._server.now(patient=False)

    def of(self, user: str, after: int) -> list[tuple[str, int]]:
        """See `ImpressionLog`."""
        members = self._server.request(
            lambda client: cast(
                list[tuple[str, float]],
                client.zrangebyscore(f"funnel:shown:{user}", f"({after}", "+inf", withscores=True),
            )
        )
        return [(member.partition(" ")[2], int(at)) for member, at in members]

    def forget(self, user: str) -> int:
        """See `ImpressionLog`. What the server's files hold of it goes when it rewrites them."""
        gone = self._server.write(Write.new(), scripts.FORGET_SHOWN, [user], fresh=uuid.uuid4().hex)
        return int(gone or 0)

    def size(self) -> int:
        """See `ImpressionLog`."""
        days = self._server.request(lambda client: cast(dict[str, str], client.hgetall("funnel:days")))
        oldest = self.now() // 86_400 - LONGEST_DAYS
        return sum(int(n) for day, n in days.items() if int(day) >= oldest)

    def close(self) -> None:
        """The connections are the state's."""
