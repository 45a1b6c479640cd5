"""What an answer and a change cost, in bytes: what they are about, not how much there is. Never a time."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.data import Vocabulary
from funnel.serving.histories import events_of
from funnel.serving.state.log import Event
from funnel.serving.state.sqlite import SqliteLog
from funnel.types import Ragged
from tests.serving.test_items import frame
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

MANY = 100_000


@pytest.fixture(scope="module")
def stores(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """The same bundle with 300 users, and with MANY, who are these again and again."""
    folder = tmp_path_factory.mktemp("stores")
    few = Store(shutil.copytree(built.indexes, folder / "few"))
    many = Store(shutil.copytree(built.indexes, folder / "many"))
    own = Live(few.folder).contents.own
    assert own is not None

    def change(place: Path) -> None:
        rows = np.arange(MANY) % len(own.users.ids)
        enlarged = replace(
            own.users,
            ids=Vocabulary(np.arange(1, MANY + 1)),
            features={name: values[rows] for name, values in own.users.features.items()},
            history=own.users.history.take(rows),
            history_times=own.users.history_times.take(rows),
        )
        shutil.rmtree(place / "users")
        enlarged.save(place / "users")

    many.publish(variant(many, change))
    return few, many


@pytest.fixture(scope="module")
def lives(stores: tuple[Store, Store]) -> Iterator[tuple[Live, Live]]:
    """What answers from them, in all tests of a call."""
    few, many = (Live(store.folder) for store in stores)
    yield few, many
    few.close()
    many.close()


def peak(do: Callable[[], Any]) -> int:
    """Bytes above what was there before, at the highest."""
    do()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    do()
    high = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return high


CALLS: dict[str, Callable[[Live], Any]] = {
    "recommend": lambda live: live.recommend(7, 10),
    "rank": lambda live: live.rank(7, range(1, 101)),
    "similar": lambda live: live.similar(5, 10, user_id=7),
    "seen": lambda live: live.recommend(7, 10, seen="allow"),
    "recommend_many": lambda live: live.recommend_many([1, 2, 3], 10),
    "explain": lambda live: live.explain(7, live.recommend(7).items[0].item_id),
    "history": lambda live: live.history(7),
    "filter": lambda live: live.recommend(7, 10, where={"year": {"ge": 1990}}),
    "observe": lambda live: live.observe((7, 5)),
    "delete": lambda live: live.items.delete([5]) and live.items.forget([5]),
    "patch": lambda live: live.items.patch([5], {"year": 1990}),
    "upsert": lambda live: live.items.upsert(frame([1000], [1990.0])),
    "health": lambda live: live.health(),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_costs_by_how_many_users_there_are(lives: tuple[Live, Live], name: str) -> None:
    few, many = (min(peak(lambda live=live: CALLS[name](live)) for _ in range(2)) for live in lives)
    assert many < few + 60_000, f"{few:,} bytes with 300 users, {many:,} with {MANY:,}"


def test_a_click_costs_the_same_after_many(stores: tuple[Store, Store]) -> None:
    live = Live(stores[0].folder)
    number = iter(range(10**9))

    def click(count: int) -> None:
        live.observe(*[(10_000 + next(number) % 5000, 1 + n % 200) for n in range(count)])
        live.recommend(7, 10)

    first = max(peak(lambda: click(1)) for _ in range(3))
    for _ in range(10):
        click(5000)
    assert min(peak(lambda: click(1)) for _ in range(3)) < first + 100_000
    live.close()


def test_a_click_is_one_insert_in_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file of an earlier funnel has not is looked for once a connection."""
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    log = SqliteLog(tmp_path / "state.sqlite")
    log.observe([Event("u", "i", 1)])
    statements.clear()
    log.observe([Event("u", "i", 2)])
    assert [statement.split()[0] for statement in statements] == ["BEGIN", "INSERT", "COMMIT"]


def test_clicks_of_one_user_beyond_what_is_read_are_not_kept_in_memory(stores: tuple[Store, Store]) -> None:
    live = Live(stores[0].folder)
    live.observe(*[(7, 1 + n % 200) for n in range(1000)])
    live.recommend(7)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(6):
        live.observe(*[(7, 1 + n % 200) for n in range(5000)])
        live.recommend(7)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    live.close()
    assert grown < 4 << 20


def test_one_users_history_is_taken_alone() -> None:
    from types import SimpleNamespace

    n = 500_000
    offsets = np.arange(n + 1, dtype=np.int64) * 2
    items, times = Ragged(np.zeros(2 * n, np.int32), offsets), Ragged(np.zeros(2 * n, np.int64), offsets)
    users = SimpleNamespace(history=items, history_times=times, history_kinds=None)
    contents: Any = SimpleNamespace(users=users, kinds=None)
    assert peak(lambda: events_of(contents, n // 2, ())) < 50_000
