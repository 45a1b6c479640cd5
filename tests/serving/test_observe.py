"""What users do while a bundle serves, and everyone's lists as a file."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError, DataError, FunnelError
from funnel.serving import batch
from funnel.serving.batch import recommend_all
from funnel.serving.request import Request, encode_request
from funnel.serving.state import Event, SqliteLog, sqlite
from funnel.serving.state.users import Erased
from tests.serving.test_items import frame, ids
from tests.serving.test_reload import variant, without_ranker
from tests.tiny import TinyBuild

LATER = 1_700_000_000


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def count(live: Live, item: int) -> int:
    contents = live.served().contents
    row = contents.catalogue.ids.row(item)
    return int(contents.statistics.counts(np.array([row]), np.array([contents.statistics.end]))[0])


def test_the_next_answer_goes_by_the_click(store: Store) -> None:
    live = Live(store.folder)
    clicked = ids(live.recommend(7))[0]
    history, before = live.history(7), count(live, clicked)
    scores = {item.item_id: item.score for item in live.recommend(7, k=50).items}
    live.observe((7, clicked, LATER))
    assert live.history(7) == [*history, clicked]
    assert count(live, clicked) == before + 1
    assert clicked not in ids(live.recommend(7, k=500))
    again = {item.item_id: item.score for item in live.recommend(7, k=50).items}
    # Trees have few values, and many items keep theirs: how many, differs by processor.
    assert sum(score != scores.get(item) for item, score in again.items()) >= 8


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


def test_events_count_in_the_order_in_which_they_come(store: Store) -> None:
    live = Live(store.folder)
    live.observe((7, 5, LATER))
    live.observe((7, 6, LATER - 1000), (7, 8, 0), (9, 6, -5))
    assert live.history(7)[-3:] == [5, 6, 8]
    end = live.contents.statistics.end
    assert [event.time for event in live.recent_interactions(7)] == [LATER, LATER - 1000, end]
    assert live.history(9)[-1] == 6


def test_a_click_changes_its_users_answers_and_the_items_count_alone(store: Store) -> None:
    live = Live(store.folder)
    others = {user: live.recommend(user, 50) for user in (None, 1, 8, 100)}
    live.observe((7, 5), (7, 6, LATER))
    features = live.contents.candidate_features()
    for user, before in others.items():
        requests, _ = encode_request(live.contents, Request(user))
        assert requests.times[0] == live.contents.statistics.end
        after = live.recommend(user, 50)
        same = {item.item_id for item in after.items} & {item.item_id for item in before.items}
        assert len(same) >= 0.9 * len(before.items)
    assert features is live.contents.candidate_features()


def test_a_user_can_be_forgotten(store: Store) -> None:
    live, other = Live(store.folder), Live(store.folder)
    live.observe((7, 5), ("new", 6), (8, 5))
    count_before = count(live, 5)
    erased = live.users.forget(7)
    assert erased == Erased(events=1, bundle=live.version)
    assert live.users.forget("new") == Erased(events=1, bundle=None)
    assert b'"new"' not in b"".join(path.read_bytes() for path in (store.folder / "live").iterdir())
    for one in (live, other, Live(store.folder)):
        assert one.history(7) == one.history("7") == one.history("new") == []
        answer = one.recommend(7)
        assert "unknown_user" in answer.reasons
        assert ids(answer) == ids(one.recommend("somebody"))
        assert ids(one.recommend_many([7])[0]) == ids(answer)
        assert one.history(8)[-1] == 5
    assert count(live, 5) == count_before
    other.observe((7, 9))
    assert live.history(7) == [9]
    with pytest.raises(DataError, match="user id"):
        live.users.forget(None)
    table = tmp_lists(live, store.folder / "all.parquet")
    assert 7 not in set(table["user_id"])


def tmp_lists(live: Live, path: Path) -> pd.DataFrame:
    assert list(recommend_all(live, path, k=3))
    return pd.read_parquet(path)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((7,), "user id, item id, seconds"),
        ("click", "user id, item id, seconds"),
        ((None, 5), "a user id and an item id are expected"),
        ((7, float("nan")), "a user id and an item id are expected"),
        ((7, 5, "now"), "time is 'now': seconds"),
        ((7, 5, float("inf")), "time is inf: seconds"),
        ((7, 5, 1000 * LATER), "milliseconds"),
        ((7, 5, 2_500_000_000), "seconds ahead of the clock"),
        (("\ud800", 5), "a user id and an item id are expected"),
    ],
)
def test_an_event_that_is_none_takes_all_with_it(store: Store, event: Any, message: str) -> None:
    live = Live(store.folder)
    before = live.history(7)
    with pytest.raises(DataError, match=message):
        live.observe((7, 5), event)
    assert live.history(7) == before


def test_a_log_keeps_the_newest_events_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MOST_EVENTS", 3_000)
    log = SqliteLog(tmp_path / "live" / "state.sqlite")
    for first in range(0, 10_000, 500):
        log.observe([Event("robot" if n % 2 else str(n), str(n), n) for n in range(first, first + 500)])
    assert [event.time for event in log.events_of("robot", 3)] == [9995, 9997, 9999]
    assert len(log.events_of("robot", 10_000)) <= 200 + 500
    assert log.sizes()["events"] <= 3_500
    assert log.events_of("9998", 10) == [Event("9998", "9998", 9998)]
    assert [one.item_id for one in log.events_after(0, 10_000)][-2:] == ["9998", "9999"]


def test_clicks_that_a_newer_bundle_has_go_by_themselves(store: Store) -> None:
    live = Live(store.folder)
    end = live.contents.statistics.end
    live.observe((7, 5, end), (7, 6, end + 100))
    live.items.delete([5])
    for number in range(2):
        store.publish(later_bundle(store, number, end + 50))
        assert live.refresh()
        assert live.history(7)[-1] == 6
        assert 5 in ids(live.recommend("new", k=500))
        kept = live.health()["state"]  # the first bundle is still in the store, and would bring 5 back
        assert (kept["events"], kept["items"]) == ((2, 1) if number == 0 else (1, 1))


def later_bundle(store: Store, number: int, end: int) -> str:
    """The same bundle, as if its data were of now and had been read just now."""

    def change(folder: Path) -> None:
        for part in ("times", "moments"):
            path = folder / "statistics" / f"events.{part}.npy"
            times = np.load(path)
            times[times == times.max()] = end - 1
            np.save(path, times)
        (folder / "number").write_text(str(number))

    return variant(store, change, data_read=time.time(), data_end=end)


def test_a_state_of_ones_own(store: Store) -> None:
    """Whatever keeps to the protocol: here two stores on one log."""
    log = SqliteLog(store.folder / "elsewhere.sqlite", synced=True)
    Live(store.folder, state=log).observe((7, 5, LATER))
    assert Live(store.folder, state=log).history(7)[-1] == 5
    assert Live(store.folder).history(7)[-1] != 5


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


def test_one_run_at_a_time_makes_a_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "CHUNK", 64)
    live, output = Live(store.folder), tmp_path / "recs.parquet"
    first = recommend_all(live, output, k=5)
    next(first)
    with pytest.raises(BundleError, match="another run is making lists there"):
        next(recommend_all(live, output, k=3))
    assert list(first)[-1] == (300, 300)
    assert set(pd.read_parquet(output).groupby("user_id").size()) == {5}
    begun = recommend_all(live, output, k=3)  # it has ended
    next(begun)
    del begun
    assert list(recommend_all(live, output, k=4))[-1] == (300, 300)  # and so has this one
    assert set(pd.read_parquet(output).groupby("user_id").size()) == {4}


def test_a_state_is_named_by_a_path_or_a_text(tmp_path: Path) -> None:
    log = SqliteLog(str(tmp_path / "state.sqlite"))
    log.observe([Event("1", "2", 3)])
    assert SqliteLog(tmp_path / "state.sqlite").events_of("1", 5) == [Event("1", "2", 3)]
    with pytest.raises(FunnelError, match="path of a state is 7"):
        SqliteLog(7)  # type: ignore[arg-type]


def test_a_call_that_is_refused_keeps_no_click_where_impressions_cannot_be_kept(store: Store) -> None:
    live = Live(store.folder)
    live.observe((9, 5), kind="impression")
    live.close()
    before, path = live.history(7), Path(live._parts.impressions.path)
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    for key in ("a", None):
        with pytest.raises(BundleError, match="damaged"):
            live.observe((7, 5), (7, 5, None, "impression"), key=key)
    assert live.history(7) == before
    path.unlink()
    for _ in range(2):  # made again under its key, it counts once
        live.observe((7, 5), (7, 5, None, "impression"), key="a")
    assert live.history(7) == [*before, 5]
    assert live.health()["state"]["impressions"] == 1
    with pytest.raises(DataError, match="other events"):
        live.observe((7, 6, None, "impression"), key="a")
    live.observe((7, 6), key="b")
    with pytest.raises(DataError, match="other events"):
        live.observe((7, 8), kind="impression", key="b")
    assert live.health()["state"]["impressions"] == 1
