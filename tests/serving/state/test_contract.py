"""What every log keeps to, on a file and on real servers."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from funnel.errors import DataError
from funnel.serving.state import Event, StateLog, open_state
from funnel.serving.state.impressions import SqliteImpressions
from funnel.serving.state.log import Changes, Counted, Forgotten, ItemChange, Patch, digest
from funnel.serving.state.once import CallKey
from tests.processes import start

FOX: dict[str, Any] = {
    "item_id": 7,
    "title": "Füchse\u0000\n",
    "genres": ["a", "b"],
    "price": 1.5,
    "gone": None,
}


def test_an_empty_log(where: str) -> None:
    log = open_state(where)
    assert log.position() == open_state(where).position()
    assert log.events_of("nobody", 5) == []
    assert log.events_of_each(["nobody", "none"], 5) == [[], []]
    assert log.events_after(0, 5) == []
    assert log.changes_after(0) == Changes(0, [], [], [])
    sizes = log.sizes()
    assert [sizes[name] for name in ("events", "items", "patches", "forgotten")] == [0, 0, 0, 0]


def test_events_in_their_order_to_all_who_look(where: str) -> None:
    log, other = open_state(where), open_state(where)
    before = other.position()
    log.observe([Event("u", "1", 100, "click", 2.5, "a1"), Event("v", "1", 90), Event("u", "2", 80)])
    assert other.position() != before
    assert other.events_of("u", 5) == [Event("u", "1", 100, "click", 2.5, "a1"), Event("u", "2", 80)]
    assert other.events_of("u", 1) == [Event("u", "2", 80)]
    assert other.events_of_each(["v", "w", "u"], 1) == [[Event("v", "1", 90)], [], [Event("u", "2", 80)]]
    first, *rest = other.events_after(0, 2)
    assert first == Counted(first.number, "u", "1", 100, "click", 2.5, "a1")
    assert [event.user for event in rest] == ["v"]
    assert [event[1:] for event in other.events_after(rest[0].number, 9)] == [
        ("u", "2", 80, None, None, None)
    ]
    assert other.position() == other.position()


def test_what_is_known_of_an_item_is_the_last_that_was_said(where: str) -> None:
    log, other = open_state(where), open_state(where)
    log.upsert({"7": FOX, "8": {"item_id": 8}}, 10.25)
    log.patch([Patch("7", "price", 2.0, 11.0), Patch("7", "new", None, 11.0), Patch("9", "price", 3, 11.0)])
    log.patch([Patch("7", "price", 2.5, 12.0)])
    first = other.changes_after(0)
    assert sorted(first.items) == [
        ItemChange("7", FOX, False, 10.25),
        ItemChange("8", {"item_id": 8}, False, 10.25),
    ]
    patches = [Patch("7", "new", None, 11.0), Patch("7", "price", 2.5, 12.0), Patch("9", "price", 3, 11.0)]
    assert sorted(first.patches, key=lambda one: one[:2]) == patches
    log.delete(["7", "70"], 13.0)
    second = other.changes_after(first.number)
    assert sorted(second.items) == [ItemChange("7", FOX, True, 13.0), ItemChange("70", None, True, 13.0)]
    assert sorted(second.patches, key=lambda one: one[:2]) == patches[:2]  # its columns stay known
    log.upsert({"7": {"item_id": 7}}, 14.0)
    log.forget_items(["9", "8"], 15.0)
    third = other.changes_after(second.number)
    assert sorted(third.items) == [
        ItemChange("7", {"item_id": 7}, False, 14.0),
        ItemChange("8", None, False, 15.0),
        ItemChange("9", None, False, 15.0),
    ]
    assert other.changes_after(third.number) == Changes(third.number, [], [], [])
    assert other.changes_after(0).patches == []  # gone with the columns that they were of
    assert log.sizes()["items"] == 4


def test_a_person_is_forgotten(where: str) -> None:
    log, other = open_state(where), open_state(where)
    log.observe([Event("u", "1", 1), Event("v", "1", 1), Event("u", "2", 1)])
    before, at = other.position(), other.changes_after(0).number
    assert log.forget_user("u", 20.5) == 2
    assert other.position() != before
    assert other.events_of("u", 9) == []
    assert [event.user for event in other.events_after(0, 9)] == ["v"]
    assert other.changes_after(at).forgotten == [Forgotten(digest("u"), 20.5)]
    log.observe([Event("u", "3", 2)])
    assert other.events_of("u", 9) == [Event("u", "3", 2)]
    assert log.forget_user("nobody", 21.0) == 0


def test_what_nobody_needs_goes(where: str) -> None:
    log = open_state(where)
    log.observe([Event("u", str(number), number) for number in (10, 50, 20)])
    log.upsert({"7": FOX, "8": FOX}, 10.0)
    log.patch([Patch("7", "price", 1, 10.0), Patch("8", "price", 1, 30.0)])
    log.delete(["8"], 30.0)
    log.forget_user("v", 10.0)
    log.retain(events_before=20, changes_before=20.0, forgotten_before=20.0)
    assert log.events_of("u", 9) == [Event("u", "50", 50), Event("u", "20", 20)]
    assert [event.item_id for event in log.events_after(0, 9)] == ["50", "20"]
    left = log.changes_after(0)
    assert [item.item_id for item in left.items] == ["8"]
    assert left.patches == [Patch("8", "price", 1, 30.0)]
    assert left.forgotten == []
    log.retain(events_before=None, changes_before=4e9, forgotten_before=4e9)
    assert [log.sizes()[name] for name in ("events", "items", "patches", "forgotten")] == [0, 0, 0, 0]
    number = left.number
    log.upsert({"7": FOX}, 40.0)
    assert log.changes_after(number).items == [ItemChange("7", FOX, False, 40.0)]


def test_who_was_forgotten_stays_longer_than_other_changes(where: str) -> None:
    log = open_state(where)
    for user in range(600):
        log.forget_user(str(user), 10.0 + user % 2)
    log.upsert({"7": FOX}, 10.0)
    log.retain(events_before=0, changes_before=20.0, forgotten_before=11.0)
    left = log.changes_after(0)
    assert left.items == []
    assert sorted(left.forgotten) == sorted(Forgotten(digest(str(user)), 11.0) for user in range(1, 600, 2))


def test_more_events_than_are_removed_at_once(where: str) -> None:
    log = open_state(where)
    for user in range(13):
        log.observe([Event(f"u{user}", str(number), number) for number in range(100)])
    log.retain(events_before=100, changes_before=0.0, forgotten_before=0.0)
    assert log.events_after(0, 9) == []
    assert log.events_of("u3", 9) == []


def under(log: StateLog, key: str, *events: Event) -> None:
    """Observe events in a call of this name."""
    log.observe(events, CallKey.of(key, events))


def test_a_call_with_a_key_counts_once(where: str) -> None:
    log, other = open_state(where), open_state(where)
    for one in (log, other, log):
        under(one, "a", Event("u", "1", 1, "click"))
    under(other, "a", Event("u", "1", 2, "click"))  # its time was that of the call
    under(other, "b", Event("u", "2", 1))
    with pytest.raises(DataError, match="with other events"):
        under(log, "a", Event("u", "3", 1, "click"))
    log.observe([], CallKey.of("c", [Event("u", "4", 1)]))  # what was said under it is elsewhere
    with pytest.raises(DataError, match="with other events"):
        under(log, "c", Event("u", "3", 1))
    for wrong in ("", "k" * 256, 7):
        with pytest.raises(DataError, match="key is"):
            CallKey.of(wrong, [])  # type: ignore[arg-type]
    assert log.events_of("u", 9) == [Event("u", "1", 1, "click"), Event("u", "2", 1)]


class Later:
    """Lets time pass for what is remembered of writes: on this machine for a file, on the server for one."""

    def __init__(self, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._where, self._monkeypatch, self._began, self._passed = where, monkeypatch, time.time(), 0

    def by(self, seconds: int) -> None:
        """So many since the beginning."""
        if self._where.startswith("postgresql"):
            import psycopg

            with psycopg.connect(self._where) as connection:
                connection.execute("UPDATE funnel.done SET until = until - %s", (seconds - self._passed,))
        else:
            self._monkeypatch.setattr(time, "time", lambda: self._began + seconds)
        self._passed = seconds


def test_a_key_is_known_for_a_day(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where.startswith("redis"):
        pytest.skip("the server's own clock ends it there")
    log, later = open_state(where), Later(where, monkeypatch)
    for number in range(20):  # more than are removed at once
        under(log, f"k{number}", Event("u", "1", 1))
    for seconds, times in ((86_000, 1), (86_500, 2), (86_600, 2), (2 * 86_600, 3)):
        later.by(seconds)
        under(log, "k19", Event("u", "1", 1))
        assert len(log.events_of("u", 99)) == 19 + times
    later.by(4 * 86_400)
    under(log, "k19", Event("u", "2", 1))  # another call of that name, days later
    assert log.events_of("u", 1) == [Event("u", "2", 1)]


def test_a_deletion_tells_what_was_patched_before(where: str) -> None:
    log = open_state(where)
    log.upsert({"7": FOX}, 10.0)
    log.patch(
        [Patch("7", "price", 2.0, 11.0), Patch("8", "price", 3.0, 11.0), Patch("9", "price", 4.0, 11.0)]
    )
    number = log.changes_after(0).number
    log.delete(["7", "8"], 12.0)
    told = log.changes_after(number)
    assert sorted(told.items, key=lambda one: one.item_id) == [
        ItemChange("7", FOX, True, 12.0),
        ItemChange("8", None, True, 12.0),
    ]
    assert sorted(told.patches) == [Patch("7", "price", 2.0, 11.0), Patch("8", "price", 3.0, 11.0)]
    assert len(log.changes_after(0).patches) == 3
    log.forget_items(["8"], 13.0)
    log.delete(["8"], 14.0)
    assert "8" not in [patch.item_id for patch in log.changes_after(0).patches]


def test_how_many_were_added_is_told(where: str, tmp_path: Path) -> None:
    log = open_state(where)
    shown = log.impressions() or SqliteImpressions(tmp_path / "impressions.sqlite")
    for one in (log, shown):
        events = [Event("u", "1", AT), Event("u", "2", AT)]
        key = CallKey.of("k", events)
        assert [one.observe(events, key), one.observe(events, key), one.observe(events[:1])] == [2, 0, 1]
    assert log.observe([], CallKey.of("none", [])) == 0


def test_of_a_user_the_newest_are_kept(where: str) -> None:
    log = open_state(where)
    for first in range(0, 1200, 300):
        log.observe([Event("robot", str(number), number) for number in range(first, first + 300)])
    assert [event.time for event in log.events_of("robot", 3)] == [1197, 1198, 1199]
    assert len(log.events_of("robot", 2000)) <= 200 + 300
    assert log.sizes()["events"] <= 200 + 300


@pytest.mark.parametrize("user", ["", " ", "a b", "'; DROP", "ü\u2028", "{x}", "\x00", "a\x00b", "u" * 4096])
def test_ids_are_any_text(where: str, user: str) -> None:
    log = open_state(where)
    log.observe([Event(user, f"item {user}", 1)])
    assert log.events_of(user, 5) == [Event(user, f"item {user}", 1)]
    assert log.events_of(f"{user}!", 5) == []
    assert [(event.user, event.item_id) for event in log.events_after(0, 5)] == [(user, f"item {user}")]
    log.upsert({user: {"item_id": user}}, 1.0)
    log.patch([Patch(user, user, user, 1.0)])
    left = log.changes_after(0)
    assert (left.items[0].item_id, left.patches[0]) == (user, Patch(user, user, user, 1.0))
    assert log.forget_user(user, 1.0) == 1


def test_impressions(where: str, tmp_path: Path) -> None:
    log, other = (
        open_state(where).impressions() or SqliteImpressions(tmp_path / "impressions.sqlite")
        for _ in range(2)
    )
    assert log.of("u", 0) == []
    shown = [Event("u", "a b", AT), Event("u", "a b", AT), Event("v", "2", AT)]
    log.observe(shown, CallKey.of("k", shown))
    log.observe([Event("u", "a b", AT)])
    other.observe(shown, CallKey.of("k", shown))
    assert other.of("u", 1_999_999_999) == [("a b", AT)] * 3
    assert other.of("u", AT) == []
    assert other.size() == 4
    assert other.forget("u") == 3
    assert (log.of("u", 0), log.of("v", 0)) == ([], [("2", AT)])
    assert log.size() == 1


AT = 2_000_000_000

OTHER_PROCESS = """
import json, sys
from funnel.serving.state import Event, open_state
log, name = open_state(sys.argv[1]), sys.argv[2]
for number in range(50):
    log.observe([Event("all", f"{name} {number}", number)])
    log.upsert({f"{name} {number}": {"number": number}}, 1.0)
print(json.dumps(len(log.events_of("all", 200))))
"""


def test_processes_write_at_the_same_time(where: str) -> None:
    open_state(where).observe([Event("x", "1", 1)])
    started = [start("-c", OTHER_PROCESS, where, name) for name in "abc"]
    log, number = open_state(where), 0
    seen: list[Counted] = []
    while any(one.process.is_alive() for one in started):
        seen += log.events_after(seen[-1].number if seen else 0, 1000)
        number = log.changes_after(number).number
    ended = [one.ended() for one in started]
    assert [one.returncode for one in ended] == [0, 0, 0], ended
    assert json.loads(ended[0].stdout) >= 50
    seen += log.events_after(seen[-1].number, 1000)
    assert [event.item_id for event in seen[1:]] == [
        event.item_id for event in log.events_after(seen[0].number, 999)
    ]
    for name in "abc":  # none was passed by, whoever came first
        assert [e.item_id for e in seen if e.item_id.startswith(name)] == [f"{name} {n}" for n in range(50)]
    assert len(log.changes_after(0).items) == 150
    assert log.changes_after(number).items == []


def test_threads_share_a_log(where: str) -> None:
    log, errors = open_state(where), []

    def work(name: str) -> None:
        try:
            for number in range(30):
                log.observe([Event(name, str(number), number)])
                log.position()
                assert len(log.events_of(name, 99)) == number + 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(log.events_after(0, 999)) == 180


ITEMS = some.sampled_from(["1", "2", "3"])
OPERATIONS = some.lists(
    some.one_of(
        some.tuples(some.just("upsert"), ITEMS, some.integers(0, 9)),
        some.tuples(some.just("patch"), ITEMS, some.integers(0, 9)),
        some.tuples(some.just("delete"), ITEMS),
        some.tuples(some.just("reset"), ITEMS),
    ),
    max_size=12,
)


def did(log: StateLog, operation: tuple[Any, ...], time: float) -> None:
    what, item, *value = operation
    calls: dict[str, Callable[[], None]] = {
        "upsert": lambda: log.upsert({item: {"v": value[0]}}, time),
        "patch": lambda: log.patch([Patch(item, "v", value[0], time)]),
        "delete": lambda: log.delete([item], time),
        "reset": lambda: log.forget_items([item], time),
    }
    calls[what]()


def known(changes: list[Changes]) -> dict[str, Any]:
    """What somebody who read these, one after the other, knows: columns of each item, None of a deleted
    one."""
    state: dict[str, Any] = {}
    for change in changes:
        for item in change.items:
            state[item.item_id] = (dict(item.item or {}), item.deleted)
        for patch in change.patches:
            columns, deleted = state.get(patch.item_id, ({}, False))
            state[patch.item_id] = ({**columns, patch.column: patch.value}, deleted)
    return living(state)


def living(state: dict[str, Any]) -> dict[str, Any]:
    return {item: None if deleted else columns for item, (columns, deleted) in state.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, reads=some.sets(some.integers(0, 11)))
def test_whoever_reads_often_knows_what_one_knows_who_reads_once(
    where: str, operations: list[tuple[Any, ...]], reads: set[int]
) -> None:
    log, prefix = open_state(where), uuid.uuid4().hex
    start = log.changes_after(0).number
    operations = [(what, f"{prefix} {item}", *rest) for what, item, *rest in operations]
    often, at = [], start
    for number, operation in enumerate(operations):
        did(log, operation, float(number))
        if number in reads:
            often.append(log.changes_after(at))
            at = often[-1].number
    often.append(log.changes_after(at))
    assert known(often) == known([log.changes_after(start)]) == reference(operations)
    log.close()


def reference(operations: list[tuple[Any, ...]]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for what, item, *value in operations:
        columns, deleted = state.get(item, ({}, False))
        if what == "patch":
            state[item] = ({**columns, "v": value[0]}, deleted)
        elif what == "delete":
            state[item] = (columns, True)
        else:
            state[item] = ({"v": value[0]} if value else {}, False)
    return living(state)


def test_what_cannot_be_decoded_holds_nothing_up(where: str) -> None:
    torn = json.loads('"a\\ud83d"')  # as an earlier funnel took the id of an answer
    log = open_state(where)
    log.observe([Event("u", str(number), number) for number in range(3)])
    if where.startswith("redis"):  # no other took it
        log.observe([Event("u", "3", 3, None, None, torn)])
    log.observe([Event("u", str(number), number) for number in range(4, 7)])
    log.retain(events_before=5, changes_before=0.0, forgotten_before=0.0)
    assert [event.time for event in log.events_of("u", 9)] == [5, 6]
