"""The log of a store in PostgreSQL: see `StateLog`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from funnel.errors import BundleError
from funnel.serving.state import parts
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.lineage import Lineage
from funnel.serving.state.log import Changes, Counted, Event, Forgotten, ItemChange, Patch, digest
from funnel.serving.state.on_postgres.impressions import PostgresImpressions
from funnel.serving.state.on_postgres.server import PostgresServer
from funnel.serving.state.on_postgres.tables import NOW, meant, text
from funnel.serving.state.once import CallKey, Write
from funnel.serving.state.sqlite import MOST_EVENTS, MOST_OF_USER

log = logging.getLogger(__name__)

T = TypeVar("T")

#: After so many events of this process, it removes what is beyond the bounds.
_EVERY = 1000

#: Users whose events are read together.
_TOGETHER = 100

#: Rows that are looked at together for what is old; the last number that there can be.
_OLD, _LAST = 5_000, 2**63 - 1

#: What `sizes` names, and up to how many are counted.
_SIZED, _FEW = ("events", "items", "patches", "forgotten"), 10_000

_PUT = (
    "INSERT INTO funnel.items SELECT id, item, %s, %s, %s FROM unnest(%s::text[], %s::text[]) "
    "AS given (id, item) ON CONFLICT (id) DO UPDATE "
    "SET deleted = EXCLUDED.deleted, time = EXCLUDED.time, number = EXCLUDED.number"
)
_PATCH = (
    "INSERT INTO funnel.patches SELECT id, name, value, time, %s "
    "FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[]) AS given (id, name, value, time) "
    "ON CONFLICT (id, name) DO UPDATE "
    "SET value = EXCLUDED.value, time = EXCLUDED.time, number = EXCLUDED.number"
)
_FORGET = (
    'INSERT INTO funnel.forgotten VALUES (%s, %s, %s) ON CONFLICT ("user") DO UPDATE '
    "SET time = EXCLUDED.time, number = EXCLUDED.number"
)
_OBSERVE = (
    f"INSERT INTO funnel.events SELECT %s - %s + place, u, i, t, {NOW}, k, v, a FROM "
    "unnest(%s::text[], %s::text[], %s::bigint[], %s::text[], %s::float8[], %s::text[]) "
    "WITH ORDINALITY AS given (u, i, t, k, v, a, place)"
)
#: A user's events beyond the newest, and all beyond the newest.
_BEYOND = (
    'DELETE FROM funnel.events WHERE "user" = %(user)s AND number <= (SELECT number FROM funnel.events '
    'WHERE "user" = %(user)s ORDER BY number DESC LIMIT 1 OFFSET %(most)s)'
)
_OLDEST = "DELETE FROM funnel.events WHERE number <= (SELECT events FROM funnel.position) - %s"
_OF = (
    'SELECT item, time, kind, value, answer FROM funnel.events WHERE "user" = %s '
    "ORDER BY number DESC LIMIT %s"
)
_OF_EACH = (
    "SELECT given.place, e.item, e.time, e.kind, e.value, e.answer "
    "FROM unnest(%s::text[]) WITH ORDINALITY AS given (u, place), LATERAL "
    '(SELECT * FROM funnel.events WHERE "user" = given.u ORDER BY number DESC LIMIT %s) AS e '
    "ORDER BY given.place, e.number"
)


class PostgresLog:
    """A `StateLog` in a PostgreSQL database, from version 13 on, which any number of machines share.

    url: `postgresql://user:password@host:5432/database`. The tables are in its schema `funnel`, which the
    first user makes and whose owner may do everything. What was acknowledged is on the server's disk.

    Otherwise as `RedisLog`. Raises: FunnelError when the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._server = PostgresServer(url)
        self._lineage, self._until_pruned = Lineage(), 0

    def position(self) -> tuple[int, Hashable]:
        """See `StateLog`."""
        name, last, *numbers = self._server.request("SELECT id, last, events, changes FROM funnel.position")[
            0
        ]
        return self._lineage.follow(self._server.run, name, last, self._has), (name, *numbers)

    def _has(self, write: str) -> bool:
        return bool(self._server.request("SELECT 1 FROM funnel.done WHERE name = %s", write))

    def now(self) -> float:
        """See `StateLog`."""
        return self._server.now(patient=True)

    def observe(self, events: Sequence[Event], key: CallKey | None = None) -> int:
        """See `StateLog`. More than 2,000 are written in parts."""
        added = parts.of_events(events, key, "events", self._observe)
        self._until_pruned += added
        if self._until_pruned >= _EVERY:
            self._until_pruned = 0
            self._prune(sorted({event.user_id for event in events}))
        return added

    def _observe(self, events: Sequence[Event], write: Write) -> bool:
        users, items, times, *others = (
            list(column) for column in (zip(*events, strict=True) if events else [()] * 6)
        )
        given = [text(user) for user in users], [text(item) for item in items], times, *others

        def add(connection: Any) -> bool:
            sql = "UPDATE funnel.position SET events = events + %s RETURNING events"
            (last,) = connection.execute(sql, (len(events),)).fetchone()
            connection.execute(_OBSERVE, (last, len(events), *given))
            return True

        return self._server.write(write, add) or False

    def _prune(self, users: Sequence[str]) -> None:
        def prune(connection: Any) -> None:
            for user in users:
                connection.execute(_BEYOND, {"user": text(user), "most": MOST_OF_USER})
            connection.execute(_OLDEST, (MOST_EVENTS,))

        try:
            self._server.write(Write.new(), prune)
        except BundleError as error:  # the events are kept, and so is what could have gone
            log.warning("%s", error)

    def events_of(self, user: str, most: int) -> list[Event]:
        """See `StateLog`."""
        newest = self._server.request(_OF, text(user), most)
        return [Event(user, meant(item), *rest) for item, *rest in reversed(newest)]

    def events_of_each(self, users: Sequence[str], most: int) -> list[list[Event]]:
        """See `StateLog`."""
        events: list[list[Event]] = [[] for _ in users]
        for first in range(0, len(users), _TOGETHER):  # each waited for by itself
            some = [text(user) for user in users[first : first + _TOGETHER]]
            for number, item, *rest in self._server.request(_OF_EACH, some, most, large=True):
                at = first + number - 1
                events[at].append(Event(users[at], meant(item), *rest))
        return events

    def events_after(self, number: int, most: int) -> list[Counted]:
        """See `StateLog`."""
        columns = 'number, "user", item, time, kind, value, answer'
        sql = f"SELECT {columns} FROM funnel.events WHERE number > %s ORDER BY number LIMIT %s"
        rows = self._server.request(sql, number, most, patient=True)
        return [Counted(at, meant(user), meant(item), *rest) for at, user, item, *rest in rows]

    def upsert(self, items: Mapping[str, dict[str, Any]], time: float) -> None:
        """See `StateLog`."""
        self._put({item_id: json.dumps(item) for item_id, item in items.items()}, time)

    def forget_items(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""
        self._put(dict.fromkeys(item_ids), time)

    def _put(self, items: Mapping[str, str | None], time: float) -> None:
        def put(connection: Any, number: int, some: list[str]) -> None:
            ids, columns = [text(item_id) for item_id in some], [items[item_id] for item_id in some]
            sql = f"{_PUT}, item = EXCLUDED.item"
            connection.execute(sql, (False, time, number, ids, columns))
            connection.execute("DELETE FROM funnel.patches WHERE id = ANY(%s)", (ids,))

        self._change_in_parts(list(items), str, put)

    def patch(self, patches: Sequence[Patch]) -> None:
        """See `StateLog`."""

        def put(connection: Any, number: int, some: list[Patch]) -> None:
            last = {(text(p.item_id), text(p.column)): (json.dumps(p.value), p.time) for p in some}
            columns = zip(*((*name, *value) for name, value in last.items()), strict=True)
            connection.execute(_PATCH, (number, *map(list, columns)))

        self._change_in_parts(patches, lambda patch: patch.item_id, put)

    def delete(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""

        def put(connection: Any, number: int, some: list[str]) -> None:
            ids = [text(name) for name in some]
            connection.execute(_PUT, (True, time, number, ids, [None] * len(ids)))
            connection.execute("UPDATE funnel.patches SET number = %s WHERE id = ANY(%s)", (number, ids))

        self._change_in_parts(list(dict.fromkeys(item_ids)), str, put)

    def _change_in_parts(
        self, given: Sequence[T], item: Callable[[T], str], put: Callable[[Any, int, list[T]], None]
    ) -> None:
        def change(some: list[T]) -> None:
            self._change(lambda connection, number: put(connection, number, some))

        parts.of_items(given, item, change)

    def _change(self, put: Any) -> Any:
        """Do something in a transaction at the next place of the log."""

        def change(connection: Any) -> Any:
            sql = "UPDATE funnel.position SET changes = changes + 1 RETURNING changes"
            (number,) = connection.execute(sql).fetchone()
            return put(connection, number)

        return self._server.write(Write.new(), change)

    def changes_after(self, number: int) -> Changes:
        """See `StateLog`. It is parsed when nothing is held any more."""
        after = f"WHERE number > {int(number)}"
        ((now,),), items, patches, forgotten = self._server.read_together(
            "SELECT changes FROM funnel.position",
            f"SELECT id, item, deleted, time FROM funnel.items {after}",
            f"SELECT id, name, value, time FROM funnel.patches {after}",
            f'SELECT "user", time FROM funnel.forgotten {after}',
        )
        return Changes(
            now,
            [ItemChange(meant(name), self._parsed(item), gone, at) for name, item, gone, at in items],
            [Patch(meant(name), meant(of), self._parsed(value), at) for name, of, value, at in patches],
            [Forgotten(*row) for row in forgotten],
        )

    def forget_user(self, user: str, time: float) -> int:
        """See `StateLog`. What the server's files hold of it goes as it cleans them (VACUUM)."""

        def forget(connection: Any, number: int) -> int:
            gone = connection.execute('DELETE FROM funnel.events WHERE "user" = %s', (text(user),)).rowcount
            connection.execute(_FORGET, (digest(user), time, number))
            return int(gone)

        return self._change(forget) or 0

    def retain(self, *, events_before: int | None, changes_before: float, forgotten_before: float) -> None:
        """See `StateLog`. From the oldest on, a part at a time, for as long as there is something to remove;
        nothing is written where there is nothing."""
        by_time = ("events", "time", events_before)
        old = [("events", "seen", changes_before) if events_before is None else by_time]
        old += [("items", "time", changes_before), ("patches", "time", changes_before)]
        old += [("forgotten", "time", forgotten_before)]
        for table, column, bound in old:
            after: int | None = -1
            while after is not None:
                after = self._remove(table, column, bound, after)

    def _remove(self, table: str, column: str, bound: Any, after: int) -> int | None:
        """Remove what is old of the next rows behind a number; up to which, None where nothing was."""
        behind = f"SELECT number FROM funnel.{table} WHERE number > %s ORDER BY number LIMIT 1 OFFSET {_OLD}"
        upto = next((row[0] for row in self._server.request(behind, after, patient=True)), _LAST)
        old = f"FROM funnel.{table} WHERE number > %s AND number <= %s AND {column} < %s"
        if not self._server.request(f"SELECT 1 {old} LIMIT 1", after, upto, bound, patient=True):
            return None
        self._server.write(
            Write.new(), lambda connection: connection.execute(f"DELETE {old}", (after, upto, bound))
        )
        return None if upto == _LAST else upto

    def sizes(self) -> dict[str, int]:
        """See `StateLog`. Where there are more than 10,000 events, about: removed ones in between count."""
        few = ", ".join(
            f"(SELECT count(*) FROM (SELECT FROM funnel.{name} LIMIT {_FEW + 1}) AS few)" for name in _SIZED
        )
        span = "(SELECT coalesce(max(number) - min(number) + 1, 0) FROM funnel.events)"
        of = (
            "(SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relnamespace = 'funnel'::regnamespace)"
        )
        *counts, span_, size = self._server.request(f"SELECT {few}, {span}, {of}", patient=True)[0]
        sizes = dict(zip(_SIZED, map(int, counts), strict=True))
        if sizes["events"] > _FEW:
            sizes["events"] = int(span_)
        return sizes | {"bytes": int(size)}

    def impressions(self) -> ImpressionLog:
        """See `StateLog`."""
        return PostgresImpressions(self._server)

    def close(self) -> None:
        """See `StateLog`."""
        self._server.close()

    def _parsed(self, value: str | None) -> Any:
        try:
            return None if value is None else json.loads(value)
        except ValueError:
            raise BundleError(
                f"the state in {self._server.name} is damaged: what it holds is not what was written; "
                "restore it, or remove it to serve the bundle as it was built"
            ) from None
