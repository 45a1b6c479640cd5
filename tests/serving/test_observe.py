"""What users do while a bundle serves, and everyone's lists as a file."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.bundle import Store
from funnel.errors import BundleError, DataError
from funnel.serving import batch
from funnel.serving.batch import recommend_all
from funnel.serving.state import Event, RecentUsers
from tests.serving.test_items import frame, ids
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild

LATER = 2_000_000_000


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def count(live: Live, item: int) -> int:
    row = live.contents.catalogue.ids.row(item)
    return int(live.contents.statistics.counts(np.array([row]), np.array([2**40]))[0])


def test_the_next_answer_goes_by_the_click(store: Store) -> None:
    live = Live(store.folder)
    clicked = ids(live.recommend(7))[0]
    history, before = live.history(7), count(live, clicked)
    scores = {item.item_id: item.score for item in live.recommend(7).items}
    live.observe((7, clicked, LATER))
    assert live.history(7) == [*history, clicked]
    assert count(live, clicked) == before + 1
    assert clicked not in ids(live.recommend(7, k=500))
    assert all(item.score != scores.get(item.item_id) for item in live.recommend(7).items)
    assert live.history(8) == Live(store.folder, users=RecentUsers(store.folder / "none")).history(8)


def test_users_and_items_that_the_bundle_does_not_know(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    live.observe(("new", 1000), ("new", 5), (Event("new", "no such item")))
    assert live.history("new") == [1000, 5]
    assert live.recommend("new").reasons == ("unknown_user",)
    assert count(live, 1000) == 1
    live.items.upsert(frame([1001], [2001.0]))  # counts are kept when the catalogue grows
    assert count(live, 1000) == 1
    assert not {1000, 5} & set(ids(live.recommend("new", k=500)))


def test_what_was_observed_survives_a_restart_and_another_bundle(store: Store) -> None:
    live = Live(store.folder)
    live.observe((7, 5, LATER), (7, 6, LATER), ("new", 5, LATER + 5))
    store.publish(without_ranker(store))
    assert live.refresh()
    live.close()
    for one in (live, Live(store.folder)):
        assert one.history(7)[-2:] == [5, 6]
        assert one.history("new") == [5]
        assert count(one, 5) == count(Live(store.folder), 5)
        assert one.contents.statistics.latest == LATER + 5


def test_a_clock_that_goes_back(store: Store) -> None:
    live = Live(store.folder)
    live.observe((7, 5, LATER))
    live.observe((7, 6, LATER - 1000), (7, 8, 0), (9, 6, -5))
    assert live.history(7)[-3:] == [5, 6, 8]
    assert [event.time for event in live.since(7)] == [LATER] * 3
    assert live.history(9)[-1] == 6


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((7,), "user id, item id, seconds"),
        ("click", "user id, item id, seconds"),
        ((None, 5), "a user id and an item id are expected"),
        ((7, float("nan")), "a user id and an item id are expected"),
        ((7, 5, "now"), "the time 'now': seconds"),
        ((7, 5, float("inf")), "the time inf: seconds"),
    ],
)
def test_an_event_that_is_none_takes_all_with_it(store: Store, event: Any, message: str) -> None:
    live = Live(store.folder)
    before = live.history(7)
    with pytest.raises(DataError, match=message):
        live.observe((7, 5), event)
    assert live.history(7) == before


def test_memory_is_bounded_and_the_least_recently_seen_are_dropped(tmp_path: Path) -> None:
    users = RecentUsers(tmp_path / "live" / "events.log", users=3, events=2)
    users.add([Event(name, str(number), number) for number, name in enumerate("abcaa")])
    assert [event.item_id for event in users.of("a")] == ["3", "4"]
    users.of("b")
    users.add([Event("d", "5", 5)])
    assert len(users) == 3
    assert users.of("c") == ()
    assert [event.user_id for event in users] == ["b", "a", "a", "d"]
    users.close()
    again = RecentUsers(tmp_path / "live" / "events.log", users=3, events=2)
    assert again.of("d") == [Event("d", "5", 5)]
    assert len(again) == 3


def test_the_file_is_written_again_without_what_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "live" / "events.log"
    users = RecentUsers(path, users=10, events=5)
    for number in range(0, 12_000, 1000):
        users.add([Event(str(one % 100), "1", one) for one in range(number, number + 1000)])
    users.close()
    assert len(path.read_bytes().splitlines()) < 5_000
    assert list(RecentUsers(path, users=10, events=5)) == list(users)


def test_damaged_events_are_an_error_with_their_place(store: Store) -> None:
    live = Live(store.folder)
    live.observe((7, 5, LATER), (7, 6, LATER))
    live.close()
    path = store.folder / "live" / "events.log"
    path.write_bytes(path.read_bytes().replace(b'"5"', b'"4"'))
    with pytest.raises(BundleError, match=r"events\.log is damaged at byte \d+"):
        Live(store.folder)


def test_a_store_of_ones_own_for_events(store: Store) -> None:
    class Kept:
        def __init__(self) -> None:
            self.events: list[Event] = []

        def add(self, events: Any) -> None:
            self.events += events

        def of(self, user: str) -> list[Event]:
            return [event for event in self.events if event.user_id == user]

        def __iter__(self) -> Any:
            return iter(self.events)

        def close(self) -> None: ...

    kept = Kept()
    Live(store.folder, users=kept).observe((7, 5, LATER))
    assert Live(store.folder, users=kept).history(7)[-1] == 5


def test_people_ask_while_others_click(store: Store) -> None:
    live = Live(store.folder)
    stop, errors = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                met = live.history(7)
                assert not set(met) & set(ids(live.recommend(7)))
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(40):
        live.observe((7, 1 + number, LATER + number), (number, 7, LATER + number))
        if number % 10 == 0:
            live.items.upsert(frame([1000 + number], [1990.0 + number]))
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert count(live, 40) >= 1


def test_everyones_list_as_a_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "CHUNK", 64)
    live = Live(store.folder)
    live.items.delete([3, 17])
    live.observe((7, 5, LATER))
    output = tmp_path / "recs.parquet"
    steps = recommend_all(live, output, k=5)
    assert [next(steps), next(steps)] == [(64, 300), (128, 300)]
    del steps  # killed here
    assert not output.exists()
    first = tmp_path / "recs.parquet.parts" / "0000000000.parquet"
    made = first.stat().st_mtime_ns, first.stat().st_ino
    resumed = recommend_all(live, output, k=5)
    assert next(resumed) == (64, 300)
    assert (first.stat().st_mtime_ns, first.stat().st_ino) == made  # not made again
    assert list(resumed)[-1] == (300, 300)
    assert not first.parent.exists()
    table = pd.read_parquet(output)
    assert table["user_id"].nunique() == 300
    assert not set(table["item_id"]) & {3, 17}
    for user in (1, 7, 300):
        lines = table[table["user_id"] == user]
        assert lines["rank"].tolist() == [1, 2, 3, 4, 5]
        assert lines["item_id"].tolist() == ids(live.recommend(user, k=5))


def test_parts_of_another_state_are_not_taken(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "CHUNK", 64)
    live = Live(store.folder)
    next(recommend_all(live, tmp_path / "recs.parquet", k=5))
    victim = ids(live.recommend(1))[0]
    live.items.delete([victim])
    assert list(recommend_all(live, tmp_path / "recs.parquet", k=5))
    assert victim not in set(pd.read_parquet(tmp_path / "recs.parquet")["item_id"])
