"""Machines whose clocks differ, and one state between them: it goes by the server's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.serving.state import Event, open_state
from funnel.serving.state.log import digest
from funnel.serving.state.once import CallKey
from tests.servers import Server, emptied
from tests.serving.test_items import ids
from tests.serving.test_reload import variant

HOUR = 3600


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest, pool: dict[str, Any]) -> Server:
    return emptied(request.param, pool)  # type: ignore[no-any-return]


class Clock:
    """This machine's, which a test puts forward or back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead, self.real = 0, time.time
        monkeypatch.setattr(time, "time", lambda: self.real() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_what_has_no_time_has_that_of_the_server(
    store: Store, server: Server, clock: Clock, ahead: int
) -> None:
    live = Live(store.folder, state=server.url)
    clock.ahead = ahead
    live.items.delete([40])
    live.items.patch([41], {"year": 1850.0})
    live.users.forget(8)
    live.observe((7, 5))
    live.observe((7, 6), kind="impression")
    log, shown = live.state, live.state.impressions()
    changes = log.changes_after(0)
    assert shown is not None
    assert [person.user for person in changes.forgotten] == [digest("8")]
    changed = [change.time for some in (changes.items, changes.patches, changes.forgotten) for change in some]
    said = [log.events_of("7", 1)[0].time, shown.of("7", 0)[0][1]]
    assert len(changed) == 3
    for at in (*changed, *said, log.now(), shown.now()):
        assert at is not None
        assert abs(at - clock.real()) < HOUR / 2
    log.retain(events_before=None, changes_before=clock.real() - HOUR / 2, forgotten_before=0.0)
    assert log.events_of("7", 1)
    log.retain(events_before=None, changes_before=clock.real() + HOUR / 2, forgotten_before=0.0)
    assert not log.events_of("7", 1)
    live.close()


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_cap_counts_by_the_server(store: Store, server: Server, clock: Clock, ahead: int) -> None:
    def declare(folder: Path) -> None:
        path, rule = folder / "serve.json", {"kind": "cap", "column": "item_id", "shows": 1, "per": "30m"}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rules": [rule]}))

    store.publish(variant(store, declare))
    live = Live(store.folder, state=server.url)
    shown = ids(live.recommend(7, 5))
    live.observe(*[(7, item) for item in shown], kind="impression")
    clock.ahead = ahead
    assert not set(ids(live.recommend(7, 5))) & set(shown)
    live.close()


def test_a_clock_ahead_forgets_no_write(server: Server, clock: Clock) -> None:
    log, events = open_state(server.url), [Event("u", "1", 1)]
    key = CallKey.of("k", events)
    log.observe(events, key)
    clock.ahead = 48 * HOUR
    open_state(server.url).observe([Event("v", "1", 1)])
    clock.ahead = 0
    assert log.observe(events, key) == 0


def test_impressions_whose_time_is_over_are_not_counted(
    pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from funnel.serving.state.on_redis import impressions as on_redis
    from funnel.serving.state.on_redis.server import RedisServer

    monkeypatch.setattr(on_redis, "MOST_OF_USER", 3)
    shown, now = open_state(emptied("redis", pool).url).impressions(), int(time.time())
    assert shown is not None
    shown.observe([Event("u", str(item), now - item * 86_400) for item in range(5)])
    shown.observe([Event("v", "1", now), Event("w", "1", now - 100 * 86_400)])
    assert (len(shown.of("u", 0)), shown.size()) == (3, 4)
    shown.forget("v")
    assert shown.size() == 3
    monkeypatch.setattr(RedisServer, "now", lambda self, *, patient: now + 92 * 86_400)
    assert shown.size() == 0
