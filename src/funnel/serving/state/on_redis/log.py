"""The log of a store on Redis: see `StateLog`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

from funnel.errors import BundleError
from funnel.serving.state import parts
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.lineage import Lineage
from funnel.serving.state.log import Changes, Counted, Event, Forgotten, ItemChange, Patch, digest
from funnel.serving.state.on_redis import scripts
from funnel.serving.state.on_redis.impressions import RedisImpressions
from funnel.serving.state.on_redis.server import FORMAT, RedisServer
from funnel.serving.state.once import CallKey, Write
from funnel.serving.state.sqlite import MOST_EVENTS, MOST_OF_USER

#: Events and changes that are read together: nobody else is served meanwhile.
_CHUNK = 5_000


class RedisLog:
    """A `StateLog` on a Redis server, from version 6.2 on, which any number of machines share.

    url: `redis://user:password@host:6379/0`; one database holds the state of one store. What was acknowledged
    survives what the server's `appendonly` and `appendfsync` make survive.

    A server that cannot be reached is asked again after a second. A request waits for it for a quarter of a
    second at most, a write two seconds, twice. What is refused because the answer to it was lost may have
    been done; under a `key` it is not done again.

    Raises: FunnelError when the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._server = RedisServer(url)
        self._lineage = Lineage()

    def position(self) -> tuple[int, Hashable]:
        """See `StateLog`."""
        names = ["events", "changes", "id", "last", "format"]
        *numbers, name, last, form = self._server.request(
            lambda client: cast(list[str | None], client.hmget("funnel:log", names))
        )
        if form not in (None, str(FORMAT)):
            raise BundleError(
                f"the state on {self._server.name} was written by a newer funnel (format {form}; this one "
                f"reads {FORMAT}); upgrade funnel"
            )
        return self._lineage.follow(self._server.run, name, last, self._has), (name, *numbers)

    def _has(self, write: str) -> bool:
        return self._server.request(lambda client: client.lpos("funnel:recent", write)) is not None

    def now(self) -> float:
        """See `StateLog`."""
        return self._server.now(patient=True)

    def observe(self, events: Sequence[Event], key: CallKey | None = None) -> int:
        """See `StateLog`. More than 2,000 are written in parts."""
        return parts.of_events(events, key, "events", self._observe)

    def _observe(self, events: Sequence[Event], write: Write) -> bool:
        given: list[Any] = [MOST_OF_USER, MOST_EVENTS]
        for user, *event, answer in events:  # between the two, when it was seen
            given += [user, f"{_written(event)[:-1]},", f",{_written(answer)}]"]
        return self._write(scripts.OBSERVE, given, write) is not None

    def events_of(self, user: str, most: int) -> list[Event]:
        """See `StateLog`."""
        key = f"funnel:user:{user}"
        newest = self._server.request(lambda client: cast(list[str], client.lrange(key, 0, most - 1)))
        return self._read(user, newest)

    def events_of_each(self, users: Sequence[str], most: int) -> list[list[Event]]:
        """See `StateLog`."""

        def read(client: Any) -> list[list[str]]:
            with client.pipeline(transaction=False) as pipe:
                for user in users:
                    pipe.lrange(f"funnel:user:{user}", 0, most - 1)
                return cast(list[list[str]], pipe.execute())

        return [self._read(user, of) for user, of in zip(users, self._server.request(read), strict=True)]

    def _read(self, user: str, newest: list[str]) -> list[Event]:
        return [self._event(user, entry.partition(" ")[2]) for entry in reversed(newest)]

    def _event(self, user: str, entry: str) -> Event:
        item, at, kind, value, _, answer = self._parsed(entry)
        return Event(user, item, at, kind, value, answer)

    def events_after(self, number: int, most: int) -> list[Counted]:
        """See `StateLog`."""
        counted: list[Counted] = []
        while len(counted) < most:
            wanted = min(_CHUNK, most - len(counted))
            entries = self._parsed(self._server.call(scripts.EVENTS, f"{number + 1}-0", wanted))
            for number, user, (item, at, kind, value, _, answer) in entries:
                counted.append(Counted(number, user, item, at, kind, value, answer))
            if len(entries) < wanted:
                break
        return counted

    def upsert(self, items: Mapping[str, dict[str, Any]], time: float) -> None:
        """See `StateLog`."""
        self._change([("put", item_id, "", _written(item), time) for item_id, item in items.items()])

    def patch(self, patches: Sequence[Patch]) -> None:
        """See `StateLog`."""
        self._change([("patch", p.item_id, p.column, _written(p.value), p.time) for p in patches])

    def delete(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""
        self._change([("delete", item_id, "", "", time) for item_id in item_ids])

    def forget_items(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""
        self._change([("put", item_id, "", "", time) for item_id in item_ids])

    def _change(self, changes: Sequence[tuple[str, str, str, str, float]]) -> None:
        def change(some: list[tuple[str, str, str, str, float]]) -> None:
            given = [value for *texts, time in some for value in (*texts, repr(float(time)))]
            self._write(scripts.CHANGE, given)

        parts.of_items(changes, lambda change: change[1], change)

    def _write(self, script: str, given: Sequence[Any], write: Write | None = None) -> Any:
        return self._server.write(write or Write.new(), script, given, fresh=uuid.uuid4().hex)

    def changes_after(self, number: int) -> Changes:
        """See `StateLog`."""
        changes = Changes(number, [], [], [])
        first, entries = f"{number + 1}-0", self._entries(f"{number + 1}-0")
        while entries:
            for entry, fields in entries:
                self._take(changes, fields)
                first, number = f"({entry}", _number(entry)
            entries = self._entries(first) if len(entries) == _CHUNK else []
        return changes._replace(number=number)

    def _take(self, changes: Changes, fields: Mapping[str, str]) -> None:
        kind, name, text, time = fields["kind"], fields["id"], fields["text"], float(fields["time"])
        if kind == "item":
            item = self._parsed(text) if text else None
            changes.items.append(ItemChange(name, item, fields["deleted"] == "1", time))
        elif kind == "patch":
            changes.patches.append(Patch(name, fields["name"], self._parsed(text), time))
        else:
            changes.forgotten.append(Forgotten(name, time))

    def forget_user(self, user: str, time: float) -> int:
        """See `StateLog`. What the server's files hold of it goes when it rewrites them."""
        gone = self._write(scripts.FORGET_USER, (user, digest(user), repr(float(time))))
        return int(gone or 0)

    def retain(self, *, events_before: int | None, changes_before: float, forgotten_before: float) -> None:
        """See `StateLog`. From the oldest on, for as long as there is something to remove."""
        by = (5, repr(changes_before)) if events_before is None else (2, events_before)
        for script, bound in (
            (scripts.RETAIN_EVENTS, by),
            (scripts.RETAIN_CHANGES, (repr(changes_before), repr(forgotten_before))),
        ):
            gone, start = self._server.call(script, "-", *bound)
            while gone:
                gone, start = self._server.call(script, start, *bound)

    def sizes(self) -> dict[str, int]:
        """See `StateLog`. bytes: what the server has in memory, of all that it holds. Raises: BundleError,
        too, where the server was set to throw things out after it was connected with."""

        def read(client: Any) -> list[Any]:
            with client.pipeline(transaction=False) as pipe:  # with a full memory none is begun
                pipe.xlen("funnel:events").hlen("funnel:items").xlen("funnel:changes")
                pipe.hlen("funnel:forgotten").info("memory")
                return cast(list[Any], pipe.execute())

        events, items, changes, forgotten, memory = self._server.request(read, patient=True)
        self._server.check_keeps(memory)
        counts = {"events": events, "items": items, "patches": changes - items - forgotten}
        return counts | {"forgotten": forgotten, "bytes": int(memory["used_memory"])}

    def impressions(self) -> ImpressionLog:
        """See `StateLog`."""
        return RedisImpressions(self._server)

    def close(self) -> None:
        """See `StateLog`."""
        self._server.close()

    def _entries(self, first: str) -> list[tuple[str, dict[str, str]]]:
        return self._server.request(
            lambda client: cast(Any, client.xrange("funnel:changes", first, "+", _CHUNK)), patient=True
        )

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise BundleError(
                f"the state on {self._server.name} is damaged: what it holds is not what was written; "
                "restore it, or remove it to serve the bundle as it was built"
            ) from None


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _number(entry: str) -> int:
    return int(entry.partition("-")[0])
