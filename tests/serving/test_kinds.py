"""Kinds of events while a bundle serves: what is observed, kept in an older file, read, left out, counted."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout, translate
from funnel.errors import BundleError, DataError, FunnelError
from funnel.serving.request import Request, encode_request
from funnel.serving.state import Event, SqliteLog
from funnel.types import Requests
from tests.shop import build_shop, shop

USER = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    build_shop(folder)
    return folder / "indexes"


@pytest.fixture
def live(store: Path, tmp_path: Path) -> Live:
    return Live(store, state=SqliteLog(tmp_path / "state.sqlite"))


def found(live: Live, **arguments: Any) -> set[int]:
    return {item.item_id for item in live.recommend(USER, 60, **arguments).items}


def request(live: Live, **arguments: Any) -> Requests:
    recent = live.recent_interactions(USER)
    return encode_request(live.served().contents, Request(USER, **arguments), recent)[0]


def of_kind(live: Live, *kinds: str) -> set[int]:
    events = shop().events
    return set(events.loc[(events["user_id"] == USER) & events["kind"].isin(kinds), "item_id"].tolist())


def test_what_was_bought_is_left_out_and_what_was_viewed_comes_back(live: Live) -> None:
    bought, viewed, hidden = (of_kind(live, kind) for kind in ("buy", "view", "hide"))
    assert bought
    assert viewed - bought
    assert not found(live) & bought
    assert found(live) >= viewed - bought
    assert found(live, seen="allow") >= bought
    assert not found(live, seen="exclude") & (bought | viewed)
    assert not found(live, seen=["view"]) & viewed
    assert found(live, seen=["view"]) >= bought - viewed
    assert not found(live, seen=["hide", "buy"]) & (hidden | bought)


def test_many_and_one_get_the_same(live: Live) -> None:
    live.observe((USER, 8), kind="buy")
    for seen in (None, "exclude", ["hide"]):
        (many,) = live.recommend_many([USER], 60, seen=seen)
        assert [i.item_id for i in many.items] == [
            i.item_id for i in live.recommend(USER, 60, seen=seen).items
        ]


def test_an_observed_kind_is_read_and_kept_with_its_value(live: Live) -> None:
    before = live.history(USER)
    live.observe((USER, 7), kind="buy", value=3.5)
    live.observe((USER, 8, None, "view", 0), (USER, 9), kind="hide")
    live.observe(Event(USER, 10))
    kept = live.users.events(USER)
    assert [(e.item_id, e.kind, e.value) for e in kept] == [
        ("7", "buy", 3.5), ("8", "view", 0.0), ("9", "hide", None), ("10", None, None),
    ]  # fmt: skip
    assert live.history(USER) == [*before, 7, 8, 10]
    kinds = request(live).history_kinds
    names = live.contents.kinds
    assert kinds is not None
    assert names is not None
    assert kinds.values[-3:].tolist() == [names.code("buy"), names.code("view"), -1]
    assert 7 not in found(live)
    assert 9 not in found(live, seen=["hide"])
    assert 9 in found(live)


def test_a_kind_changes_the_query(live: Live, store: Path, tmp_path: Path) -> None:
    other = Live(store, state=SqliteLog(tmp_path / "other.sqlite"))
    live.observe((USER, 7), kind="buy")
    other.observe((USER, 7), kind="view")
    queries = [one.contents.queries.encode(request(one)) for one in (live, other)]
    assert not np.allclose(*queries)


def test_negative_and_ignored_kinds_are_not_counted(live: Live) -> None:
    statistics = live.served().contents.statistics
    now = np.array([statistics.end])

    def count() -> int:
        live.served()
        return int(statistics.counts(np.array([7], dtype=np.int32), now)[0])

    before = count()
    live.observe((USER, 7), kind="hide")
    live.observe((USER, 7), kind="impression")
    assert count() == before
    live.observe((USER, 7), kind="view")
    live.observe((USER, 7))
    assert count() == before + 2


@pytest.mark.parametrize(
    ("event", "arguments", "message"),
    [
        ((USER, 7), {"kind": "by"}, "kind is 'by'; did you mean 'buy'"),
        ((USER, 7, None, "veiw"), {}, "event 1: kind is 'veiw'; did you mean 'view'"),
        ((USER, 7), {"kind": 3}, "kind is 3"),
        ((USER, 7), {"kind": "buy", "value": -1}, "value is -1; a number of at least 0"),
        ((USER, 7, None, "buy", math.nan), {}, "event 1: value is nan"),
        ((USER, 7), {"value": math.inf}, "value is inf"),
        ((USER, 7), {"value": "dear"}, "value is 'dear'"),
        ((USER, 7, None, "buy", 1, 2), {}, "is expected"),
    ],
)
def test_a_wrong_kind_or_value_is_refused_and_nothing_is_kept(
    live: Live, event: Any, arguments: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        live.observe((USER, 11), event, **arguments)
    assert live.users.events(USER) == []


@pytest.mark.parametrize("seen", ["maybe", [], ["by"], [3], {"buy"}, 1])
def test_what_cannot_be_meant_by_seen_is_refused(live: Live, seen: Any) -> None:
    with pytest.raises(FunnelError, match=r"seen (is|names)"):
        live.recommend(USER, seen=seen)


def test_a_given_history_may_say_kinds(live: Live) -> None:
    given = request(live, history=[(7, "buy"), 8, (9, "view")])
    assert given.history.values.tolist() == [7, 8, 9]
    assert given.history_kinds is not None
    assert given.history_kinds.values.tolist() == [0, -1, 2]
    assert given.exclude is not None
    assert given.exclude.values.tolist() == [7]
    with pytest.raises(DataError, match="'by'; did you mean 'buy'"):
        live.recommend(USER, history=[(7, "by")])


def test_similar_and_rank_answer_with_kinds(live: Live) -> None:
    assert len(live.similar(7, 5, user_id=USER).items) == 5
    assert {item.item_id for item in live.rank(USER, [1, 2, 3]).items} == {1, 2, 3}


def earlier_file(path: Path) -> None:
    """A state as funnel wrote it before events had kinds."""
    log = SqliteLog(path)
    log.observe([Event(str(USER), "7", 1_700_000_000)])
    log.close()
    with sqlite3.connect(path) as file:
        file.execute("ALTER TABLE events DROP COLUMN kind")
        file.execute("ALTER TABLE events DROP COLUMN value")
    file.close()


def test_a_file_of_an_earlier_funnel_is_read_and_then_has_kinds(store: Path, tmp_path: Path) -> None:
    earlier_file(tmp_path / "state.sqlite")
    live = Live(store, state=SqliteLog(tmp_path / "state.sqlite"))
    assert live.users.events(USER) == [Event(str(USER), "7", 1_700_000_000)]
    assert live.history(USER)[-1] == 7
    beside = SqliteLog(tmp_path / "state.sqlite")  # as of another process, which has it open
    assert len(beside.events_after(0, 10)) == 1
    live.observe((USER, 8), kind="buy", value=2)
    assert [(e.item_id, e.kind, e.value) for e in live.users.events(USER)] == [
        ("7", None, None),
        ("8", "buy", 2.0),
    ]
    assert [event.kind for event in beside.events_after(0, 10)] == [None, "buy"]
    with sqlite3.connect(tmp_path / "state.sqlite") as file:  # an earlier funnel goes on writing
        file.execute("INSERT INTO events (user, item, time, seen) VALUES ('3', '9', 1700000001, 0)")
    file.close()
    assert [e.kind for e in live.users.events(USER)] == [None, "buy", None]


def test_a_bundle_without_kinds_says_so(tmp_path: Path) -> None:
    data = shop()
    events = data.events[data.events["kind"] != "impression"].drop(columns=["kind", "value"])
    plain = type(data).from_frames(data.schema, events, items=data.items)
    sections = {"events": {}, "split": {"kind": "time", "protocol": "event", "ranker": 0.6, "test": 0.8}}
    built = build_shop(tmp_path, plain, **sections)
    assert not (built.folder / "users" / "history_kinds.npy").exists()
    assert "kinds" not in (built.folder / "serve.json").read_text()
    live = Live(tmp_path / "indexes")
    with pytest.raises(DataError, match="of one kind"):
        live.observe((USER, 7), kind="buy")
    with pytest.raises(FunnelError, match="seen is"):
        live.recommend(USER, seen=["buy"])
    live.observe((USER, 7), value=2.5)
    assert live.users.events(USER)[-1].value == 2.5


def test_the_holdout_has_kinds_and_follows_into_another_bundle(store: Path, tmp_path: Path) -> None:
    folder = Store(store).path(Store(store).published() or "")
    source = load_contents(folder)
    examples = Holdout.load(folder / HOLDOUT, source).examples
    kinds, bits = examples.requests.history_kinds, examples.target_kinds
    assert kinds is not None
    assert bits is not None
    assert set(kinds.values.tolist()) == {0, 2}
    assert set(bits.values.tolist()) == {1, 4}
    uses = {"history": {"buy": 1.0, "peek": 1.0}, "ignore": ["hide", "impression"]}
    data = shop()
    renamed = data.events.assign(kind=data.events["kind"].replace({"view": "peek"}))
    other = type(data).from_frames(data.schema, renamed, items=data.items)
    built = build_shop(tmp_path, other, events=uses)
    moved = translate(examples, source, load_contents(built.folder))
    assert moved.requests.history_kinds is not None
    assert moved.target_kinds is not None
    np.testing.assert_array_equal(moved.requests.history_kinds.values, np.where(kinds.values == 0, 0, -1))
    np.testing.assert_array_equal(moved.target_kinds.values, bits.values & 1)


def test_a_kind_that_no_bundle_has_is_damage(store: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(Store(store).path(Store(store).published() or ""), folder)
    kinds = np.load(folder / "users" / "history_kinds.npy")
    kinds[5] = 9
    np.save(folder / "users" / "history_kinds.npy", kinds)
    with pytest.raises(BundleError, match="history_kinds"):
        load_contents(folder)
