"""Much at once: what a server is asked for, told or to remove in parts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from funnel import BundleError
from funnel.serving.state import Event, open_state
from funnel.serving.state.log import Patch
from tests.servers import emptied


def test_what_changed_is_parsed_when_the_server_waits_no_longer(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from funnel.serving.state.on_postgres import log as on_postgres
    from funnel.serving.state.on_postgres import server

    log = open_state(emptied("postgres", pool).url)
    patches = [Patch(str(item), "price", item, 1.0) for item in range(22)]
    log.patch(patches)
    monkeypatch.setattr(server, "_PART", 4)
    loads = json.loads
    monkeypatch.setattr(on_postgres.json, "loads", lambda text: (time.sleep(0.1), loads(text))[1])
    assert sorted(log.changes_after(0).patches) == sorted(patches)


def test_events_of_many_users_are_read_a_hundred_at_a_time(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from funnel.serving.state.on_postgres.server import PostgresServer

    log, request, asked = open_state(emptied("postgres", pool).url), PostgresServer.request, []
    users = [f"u{number}" for number in range(250)]
    log.observe([Event(user, str(item), 1) for item in range(3) for user in users[::3]])

    def counted(self: PostgresServer, sql: str, *values: Any, **how: bool) -> list[Any]:
        asked.append(values)
        return request(self, sql, *values, **how)

    monkeypatch.setattr(PostgresServer, "request", counted)
    each = log.events_of_each(users, 2)
    assert [len(some) for some, _ in asked] == [100, 100, 50]
    monkeypatch.undo()
    assert each == [log.events_of(user, 2) for user in users]


def test_what_takes_long_is_no_lost_server(pool: dict[str, Any]) -> None:
    import psycopg

    server = emptied("postgres", pool)
    log = open_state(server.url)
    log.observe([Event("u", "1", 1)])
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE funnel.events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BundleError, match="takes too long"):
            log.events_of_each(["u", "v"], 2)
        log.delete(["40"], 1.0)
        other.rollback()
        other.execute("CREATE FUNCTION funnel.late() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(3); "
                      "RETURN new; END $$ LANGUAGE plpgsql")  # fmt: skip
        other.execute("CREATE TRIGGER late BEFORE UPDATE ON funnel.items EXECUTE FUNCTION funnel.late()")
    with pytest.raises(BundleError, match=r"statement timeout .*; nothing was changed"):
        log.delete(["40"], 2.0)
    assert log.events_of_each(["u", "v"], 2) == [[Event("u", "1", 1)], []]
    assert [item.time for item in log.changes_after(0).items] == [1.0]


def test_old_events_go_a_part_at_a_time(pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    from funnel.serving.state.on_postgres import log as on_postgres

    server = emptied("postgres", pool)
    log = open_state(server.url)
    log.observe([Event("u", "1", number) for number in range(220)])
    log.delete([str(item) for item in range(60)], 1.0)
    with psycopg.connect(server.url) as other:  # all of them take longer than the server may
        other.execute("CREATE FUNCTION funnel.late() RETURNS trigger AS $$ BEGIN PERFORM pg_sleep(0.01); "
                      "RETURN old; END $$ LANGUAGE plpgsql")  # fmt: skip
        other.execute(
            "CREATE TRIGGER late BEFORE DELETE ON funnel.events FOR EACH ROW EXECUTE FUNCTION funnel.late()"
        )
    monkeypatch.setattr(on_postgres, "_OLD", 50)
    log.retain(events_before=210, changes_before=2.0, forgotten_before=0.0)
    assert [event.time for event in log.events_after(0, 999)] == list(range(210, 220))
    assert log.sizes()["items"] == 0
    before = log.position()
    log.retain(events_before=210, changes_before=2.0, forgotten_before=0.0)
    assert log.position() == before
