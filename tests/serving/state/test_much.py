"""Much at once: what a server is asked for, told or to remove in parts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from funnel import BundleError, DataError
from funnel.serving.state import Event, open_state, parts
from funnel.serving.state.log import Patch
from funnel.serving.state.once import CallKey
from tests.servers import Server, emptied

AT = 2_000_000_000


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest, pool: dict[str, Any]) -> Server:
    return emptied(request.param, pool)  # type: ignore[no-any-return]


def test_what_changed_is_parsed_when_the_server_waits_no_longer(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from funnel.serving.state.on_postgres import server

    log = open_state(emptied("postgres", pool).url)
    patches = [Patch(str(item), "price", item, 1.0) for item in range(22)]
    log.patch(patches)
    monkeypatch.setattr(server, "_PART", 4)
    loads = json.loads

    def slow(text: str) -> Any:
        time.sleep(0.1)
        return loads(text)

    monkeypatch.setattr(json, "loads", slow)
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


def test_a_large_change_is_made_in_parts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ITEMS", 3)
    log, ids = open_state(server.url), [str(item) for item in range(7)]
    log.upsert({item: {"item_id": item} for item in ids}, 1.0)
    patches = [Patch(item, column, 5, 2.0) for column in ("a", "b") for item in ids]
    log.patch(patches)
    first = log.changes_after(3)
    assert (first.number, first.items, sorted(first.patches)) == (6, [], sorted(patches))
    assert {patch.item_id for patch in log.changes_after(5).patches} == {"6"}  # all that is said of it
    log.delete(ids, 3.0)
    assert [item.deleted for item in log.changes_after(6).items] == [True] * 7
    log.forget_items(ids, 4.0)
    assert log.changes_after(0).patches == []
    assert log.changes_after(0).number == 12


def test_the_error_says_how_much_of_a_large_change_was_made(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr(parts, "ITEMS", 3)
    server = emptied("postgres", pool)
    log = open_state(server.url)
    log.position()
    with psycopg.connect(server.url) as other:
        other.execute("ALTER TABLE funnel.items ADD CHECK (id <> '4')")
    with pytest.raises(BundleError, match=r"of 7 items the first 3 were written; then: .* refuses: "):
        log.delete([str(item) for item in range(7)], 1.0)
    assert sorted(item.item_id for item in log.changes_after(0).items) == ["0", "1", "2"]


def test_a_large_call_that_was_cut_goes_on_under_its_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "EVENTS", 2)
    log = open_state(server.url)
    for one in (log, log.impressions()):
        assert one is not None
        events = [Event("u", str(item), AT) for item in range(5)]
        key = CallKey.of("k", events)
        assert one.observe(events[:2], key) == 2  # here it was cut
        assert [one.observe(events, key), one.observe(events, key)] == [3, 0]
        with pytest.raises(DataError, match="with other events"):
            one.observe(events, CallKey.of("k", events[1:]))
    assert [event.item_id for event in log.events_of("u", 9)] == list("01234")
    shown = log.impressions()
    assert shown is not None
    assert sorted(item for item, _ in shown.of("u", 0)) == list("01234")
