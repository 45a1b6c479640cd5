"""Every public method of `Live` over HTTP: the same values, and the same errors with the same text.

A real service on a copy of the store answers the client; `Live` answers beside it, from the same files.
"""

from __future__ import annotations

import asyncio
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import funnel
from funnel import Answer, AsyncClient, Client, Event, Live
from funnel.client.resources import AsyncRemoteItems, AsyncRemoteUsers, RemoteItems, RemoteUsers
from funnel.service import keys
from tests.service.server import server
from tests.serving.test_items import frame
from tests.tiny import TinyBuild


class Pair(NamedTuple):
    """The two that must agree, and what reaches the service."""

    live: Live
    client: Client
    url: str
    key: str


@pytest.fixture(scope="module")
def pair(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("same")
    store = Path(shutil.copytree(built.indexes, folder / "indexes"))
    key = keys.add(folder / "keys.json", "test", "admin")
    with server(store, "--keys", str(folder / "keys.json")) as running:
        url = f"http://127.0.0.1:{running.port}"
        live = Live(store)
        with Client(url, key=key, timeout=60) as client:
            yield Pair(live, client, url, key)
        live.close()


def same(value: Any) -> Any:
    """A value without what differs from call to call: times of stages; and with NaN as JSON has it."""
    if isinstance(value, Answer):
        items = tuple(
            replace(item, attributes={k: same(v) for k, v in item.attributes.items()}) for item in value.items
        )
        return replace(value, items=items, milliseconds=dict.fromkeys(value.milliseconds), id="")
    if isinstance(value, list):
        return [same(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


CALLS: dict[str, Callable[[Any], Any]] = {
    "recommend": lambda one: one.recommend(7),
    "recommend nobody": lambda one: one.recommend(),
    "recommend stranger": lambda one: one.recommend("stranger", 3),
    "recommend numpy": lambda one: one.recommend(np.int64(7), np.int64(4)),
    "recommend all": lambda one: one.recommend(
        7, 5, history=[1, 2, "x"], user={}, where={"genres": ["Comedy", "Drama"]}, exclude={3, 4},
        time=1_000_400_000, attributes=["title", "year"], seen="allow", context={}, deadline=10_000,
    ),
    "recommend none": lambda one: one.recommend(7, where={"year": {"gt": 3000}}),
    "recommend generator": lambda one: one.recommend(history=(item for item in (5, 6)), attributes=[]),
    "recommend patient": lambda one: one.recommend(7, deadline=math.inf),
    "recommend at once": lambda one: one.recommend(7, deadline=-math.inf),
    "many": lambda one: one.recommend_many([7, "stranger", None, np.int64(9)], 3, where={"genres": "Drama"}),
    "many of none": lambda one: one.recommend_many([]),
    "many series": lambda one: one.recommend_many(pd.Series([1, 2, 3])),
    "rank": lambda one: one.rank(7, [1, 2, 2, 3, "gone"]),
    "rank none": lambda one: one.rank(7, []),
    "rank again": lambda one: one.rank(None, range(1, 30), rerank=True, history=[9], attributes=["title"]),
    "similar": lambda one: one.similar(1),
    "similar to": lambda one: one.similar(
        1, 4, user_id=7, where={"genres": "Drama"}, exclude=[2], seen="allow"
    ),
    "similar to nothing": lambda one: one.similar(99_999),
    "explain": lambda one: one.explain(7, 1),
    "explain history": lambda one: one.explain(None, 1, history=[2, 3], time=1_000_400_000),
    "history": lambda one: one.history(7),
    "history of a stranger": lambda one: one.history("a stranger/of slashes"),
    "version": lambda one: one.version,
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_values(pair: Pair, name: str) -> None:
    expected, value = CALLS[name](pair.live), CALLS[name](pair.client)
    assert same(value) == same(expected)
    assert type(value) is type(expected)
    if isinstance(value, dict):
        assert list(value) == list(expected)


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "k": lambda one: one.recommend(7, 0),
    "k text": lambda one: one.recommend(7, "many"),
    "k many": lambda one: one.recommend_many([7], -1),
    "history": lambda one: one.recommend(7, history="abc"),
    "history number": lambda one: one.recommend(7, history=7),
    "exclude": lambda one: one.recommend(7, exclude={"a": 1}),
    "users": lambda one: one.recommend_many("abc"),
    "items": lambda one: one.rank(7, "abc"),
    "many items": lambda one: one.rank(7, range(10_001)),
    "rerank what": lambda one: one.rank(7, [1], rerank="yes"),
    "time": lambda one: one.recommend(7, time=1_700_000_000_000),
    "time text": lambda one: one.recommend(7, time="now"),
    "deadline": lambda one: one.recommend(7, deadline=math.nan),
    "deadline text": lambda one: one.recommend(7, deadline="soon"),
    "where column": lambda one: one.recommend(7, where={"genre": "Comedy"}),
    "where bound": lambda one: one.recommend(7, where={"year": {"above": 3}}),
    "attributes": lambda one: one.recommend(7, attributes=["titel"]),
    "attributes text": lambda one: one.recommend(7, attributes="title"),
    "user column": lambda one: one.recommend(7, user={"age": 3}),
    "user what": lambda one: one.recommend(7, user="DE"),
    "context column": lambda one: one.recommend(7, context={"device": "phone"}),
    "contexts": lambda one: one.recommend_many([7], context=[{}, {}]),
    "explain unknown": lambda one: one.explain(7, 99_999),
    "event": lambda one: one.observe((7,)),
    "event time": lambda one: one.observe((7, 1, 1_700_000_000_000)),
    "event kind": lambda one: one.observe((7, 1), kind="impresion"),
    "event value": lambda one: one.observe((7, 1), value=-1.5),
    "event of no end": lambda one: one.observe((7, 1, math.inf)),
    "event of any value": lambda one: one.observe((7, 1, None, "interaction", math.inf)),
    "events of any value": lambda one: one.observe((7, 1), value=-math.inf),
    "event of half a character": lambda one: one.observe(("\ud800", 1)),
    "answer of half a character": lambda one: one.observe((7, 1, None, None, None, "a\ud800")),
    "answer with a zero": lambda one: one.observe((7, 1, None, None, None, "a\0b")),
    "event of bytes": lambda one: one.observe((7, b"1")),
    "event of a long id": lambda one: one.observe(("x" * 5000, 1)),
    "event moment": lambda one: one.observe((7, 1, pd.Timestamp("2002-01-01"))),
    "upsert what": lambda one: one.items.upsert([1]),
    "upsert column": lambda one: one.items.upsert(pd.DataFrame({"item_id": [1], "titel": ["x"]})),
    "patch column": lambda one: one.items.patch([1], {"titel": "x"}),
    "patch values": lambda one: one.items.patch([1, 2], {"year": [1990]}),
    "patch columns": lambda one: one.items.patch([12], [1]),
    "patch by item": lambda one: one.items.patch([7], {"year": {7: 1999}}),
    "delete what": lambda one: one.items.delete("abc"),
    "patch what": lambda one: one.items.patch(7, {"year": 3}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_errors(pair: Pair, name: str) -> None:
    with pytest.raises(funnel.FunnelError) as expected:
        MISTAKES[name](pair.live)
    with pytest.raises(funnel.FunnelError) as caught:
        MISTAKES[name](pair.client)
    assert (type(caught.value), str(caught.value)) == (type(expected.value), str(expected.value))


def test_what_only_the_bundle_knows_is_of_the_same_kind(pair: Pair) -> None:
    """The service refuses it before the bundle is asked, in other words."""
    for one in (pair.live, pair.client):
        with pytest.raises(funnel.FunnelError, match="seen"):
            one.recommend(7, seen="maybe")


def test_changes_are_those_of_live(pair: Pair) -> None:
    """What one of them changes, the other has in its next answer."""
    live, client, user = pair.live, pair.client, "clicker"
    new = frame([9001, 9002], [1990.0, 1991.0])
    assert client.items.upsert(new) is None
    assert live.rank(7, [9001, 9002]).items
    assert client.items.patch([9001, 424242], {"year": 2001.0}) == [424242]
    assert client.items.patch_each({424242: {"year": 1.0}, 9001: {"year": 2002.0}, "x": {}}) == [424242, "x"]
    assert live.items.patch_each({"y": {}, 424242: {"year": 1.0}, 9001: {"year": 2001.0}}) == ["y", 424242]
    assert client.items.get(9001) == live.items.get(9001)
    assert client.items.get(9001)["year"] == 2001.0  # type: ignore[index]
    assert live.rank(7, [9001]).items[0].attributes["year"] == 2001.0
    assert client.items.delete(np.array([9002, 424242])) == [424242]
    assert live.rank(7, [9002]).reasons == client.rank(7, [9002]).reasons != ()
    assert client.items.get(9002) is live.items.get(9002) is None
    assert client.observe((user, 1), Event(user, 2)) is None
    client.observe((user, 3), key="once")
    client.observe((user, 3), key="once")
    assert live.history(user) == client.history(user) == [1, 2, 3]
    assert [event["item_id"] for event in client.users.known(user)["events"]] == ["1", "2", "3"]
    forgotten = client.users.forget(user)
    assert (type(forgotten), forgotten.events) == (type(live.users.forget("nobody")), 3)
    assert live.history(user) == client.history(user) == []
    live.items.forget([9001, 9002])


@pytest.mark.parametrize("user", [".", "..", "a/../b", "../history", "%2E"])
def test_ids_that_are_written_as_paths_are_ids(pair: Pair, user: str) -> None:
    live, client = pair.live, pair.client
    client.observe((user, 5), (f"{user}/", 6))
    assert client.history(user) == live.history(user) == [5]
    assert client.users.known(user) == live.users.known(user)
    assert client.users.known(user)["user_id"] == user
    assert client.items.get(user) is None
    assert client.users.forget(user).events == 1
    assert live.history(user) == []


def test_ids_that_are_not_there_are_told_as_they_were_given(pair: Pair) -> None:
    gone: list[Any] = [99_999.0, "99999", np.float64(88_888), np.int64(77_777), 2.0**53, "\ud800", ""]
    for call in (lambda one: one.items.delete(gone), lambda one: one.items.patch(gone, {"year": 2000.0})):
        expected, told = call(pair.live), call(pair.client)
        assert told == expected == gone
        assert list(map(type, told)) == list(map(type, expected))


def test_events_are_those_of_live(pair: Pair) -> None:
    """The same moment, and the same ids."""
    given = [
        (datetime(2002, 1, 1), 1),
        ("of seconds", 1, 1_000_400_000.9),
        ("of a value", Decimal("2.0"), None, None, Decimal("1.5")),
    ]
    for one in (pair.live, pair.client):
        one.observe(*given)
    for user in ("2002-01-01", "of seconds", "of a value"):
        first, second = pair.live.users.known(user)["events"]
        if user != "of seconds":
            assert first.pop("time") <= second.pop("time")
        assert first == second


def test_what_the_operator_sees(pair: Pair) -> None:
    health = pair.client.health()
    assert health.keys() - {"monitor"} == pair.live.health().keys()  # which a service has, and `Monitoring`
    assert health["version"] == pair.live.version
    bundles = pair.client.bundles.list()["bundles"]
    assert [bundle["version"] for bundle in bundles if bundle["is"] == "current"] == [pair.live.version]
    with pytest.raises(funnel.BundleError, match="there is no version 'nothing'"):
        pair.client.bundles.publish("nothing")
    with pytest.raises(funnel.BundleError, match="published before"):
        pair.client.bundles.rollback()


def test_the_asynchronous_client_too(pair: Pair) -> None:
    async def ask(name: str) -> Any:
        async with AsyncClient(pair.url, key=pair.key, timeout=60) as client:
            return await (client.version() if name == "version" else CALLS[name](client))

    for name in CALLS:
        assert same(asyncio.run(ask(name))) == same(CALLS[name](pair.live)), name


def test_a_key_that_may_not(pair: Pair) -> None:
    with Client(pair.url, key="fk_0") as client, pytest.raises(funnel.ServiceError) as caught:
        client.recommend(7)
    assert caught.value.status == 401


def test_no_public_method_of_live_is_forgotten() -> None:
    """What a client lacks is of the process that serves: its thread, its files, its memory."""
    inside = {"contents", "manifest", "served", "on_occasion", "recent_interactions",
              "recent_interactions_of_each", "refresh", "refused",
              "folder", "store", "position", "state_error", "watch", "moment",
              "chosen", "overlay", "state", "take_in"}  # fmt: skip
    public = {name for name in dir(Live) if not name.startswith("_")}
    assert public - inside <= set(dir(Client)) - {"_"}
    assert public - inside - {"version", "close"} <= {name.split()[0] for name in CALLS} | {
        "recommend_many", "observe", "health",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["items", "users"])
def test_what_a_client_lacks_of_items_and_users_is_named(pair: Pair, name: str) -> None:
    docs = (Path(__file__).parents[2] / "docs/client.md").read_text()
    named = set(re.findall(rf"`{name}\.([a-z_]+)`", docs.partition("**Not there**")[2].partition("\n\n")[0]))
    theirs = {one for one in dir(getattr(pair.live, name)) if not one.startswith("_")}
    assert theirs - set(dir(getattr(pair.client, name))) == named
    assert set(dir(AsyncRemoteItems)) == set(dir(RemoteItems))
    assert set(dir(AsyncRemoteUsers)) == set(dir(RemoteUsers))
