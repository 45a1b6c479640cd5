"""`Live.rank`: a given list, all of it, each item as retrieval would have handed it to the ranker."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import save_settings
from funnel.errors import FunnelError
from funnel.serving.given import among
from funnel.serving.request import Request, encode_request
from funnel.serving.response import Answer
from funnel.stages import Filter
from funnel.towers.encoder import QueryEncoder
from funnel.types import Candidates, Int32
from tests.serving.test_items import frame
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

USERS = [7, 3, "nobody", None]


@pytest.fixture(scope="module")
def live(built: TinyBuild) -> Iterator[Live]:
    one = Live(built.indexes)
    yield one
    one.close()


@pytest.fixture
def changing(built: TinyBuild, tmp_path: Path) -> Iterator[Live]:
    one = Live(shutil.copytree(built.indexes, tmp_path / "indexes"))
    yield one
    one.close()


def scores(answer: Answer) -> list[tuple[Any, float]]:
    return [(item.item_id, item.score) for item in answer.items]


@pytest.mark.parametrize("user", USERS)
def test_the_retrieved_shortlist_has_the_order_and_scores_of_recommend(live: Live, user: Any) -> None:
    found = live.recommend(user, 100)
    ranked = live.rank(user, [item.item_id for item in reversed(found.items)])
    assert scores(ranked) == scores(found)
    assert [item.sources for item in ranked.items] == [item.sources for item in found.items]
    assert ranked.reasons == found.reasons


@pytest.mark.parametrize("user", USERS)
def test_no_feature_of_an_item_goes_by_the_rest_of_the_list(live: Live, user: Any) -> None:
    """Also where the list has what is above all that was retrieved: what the user has seen."""
    contents = live.contents
    requests, _ = encode_request(contents, Request(user))
    retrieve = contents.ranking().stages[0]

    def rows(items: Int32) -> dict[int, bytes]:
        asked = among(contents, requests, items)
        placed = retrieve(asked, Candidates.empty(1))
        matrix = contents.candidate_features().matrix(asked, placed)[0]
        return {item: row.tobytes() for item, row in zip(placed.items[0].tolist(), matrix, strict=True)}

    shortlist = Filter(contents.retrieve.k)(requests, contents.retriever()(requests))
    retrieved = contents.candidate_features().matrix(requests, shortlist)[0]
    together = rows(np.arange(200, dtype=np.int32))
    for item in range(200):
        assert rows(np.array([item], dtype=np.int32))[item] == together[item]
    for item, row in zip(shortlist.items[0].tolist(), retrieved, strict=True):
        assert together[item] == row.tobytes()


def test_without_a_ranker_it_is_the_retrieval_order(built: TinyBuild, tmp_path: Path) -> None:
    store = Store(shutil.copytree(built.indexes, tmp_path / "plain"))

    def change(folder: Path) -> None:
        (folder / "serve.json").unlink()
        save_settings(folder, Live(built.indexes).contents.without_ranker())

    store.publish(variant(store, change))
    live = Live(store.folder)
    found = live.recommend(7, 100)
    whole = live.rank(7, range(1, 201))
    assert "retrieval_order_kept" in whole.reasons
    assert len(whole.items) == 200
    known = {item.item_id for item in found.items}
    assert [pair for pair in scores(whole) if pair[0] in known] == scores(found)
    unranked = [item for item in whole.items if not item.sources]
    assert all(item.score <= 0 for item in unranked)
    assert scores(whole) == sorted(scores(whole), key=lambda pair: -pair[1])
    live.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.integers(1, 230), max_size=60), user=st.sampled_from(USERS), data=st.data())
def test_every_item_comes_back_once_and_nothing_goes_by_the_rest(
    live: Live, items: list[int], user: Any, data: st.DataObject
) -> None:
    answer = live.rank(user, items)
    known = {item for item in items if item <= 200}
    assert sorted(item.item_id for item in answer.items) == sorted(known)
    assert {code for code in answer.reasons if ":" in code} == {
        f"unknown_item:{item}" for item in items if item > 200
    }
    some = data.draw(st.permutations(items))[: len(items) // 2]
    whole = dict(scores(answer))
    assert all(whole[item] == score for item, score in scores(live.rank(user, some)))
    given_scores = [score for _, score in scores(answer)]
    assert given_scores == sorted(given_scores, reverse=True)


def test_what_a_user_interacted_with_is_ranked_as_if_it_alone_were_not_left_out(live: Live) -> None:
    seen = live.history(7)
    everything = live.rank(7, range(1, 201))
    assert {item.item_id for item in everything.items} >= set(seen)
    popular = [item.sources.get("popular") for item in everything.items if item.item_id in seen]
    assert any(rank is not None for rank in popular)
    assert all("towers" in item.sources for item in everything.items[:1])


def test_lists_with_nothing_in_them(live: Live) -> None:
    assert (live.rank(7, []).items, live.rank(7, []).reasons) == ((), ("no_items",))
    unknown = live.rank(7, ["x", 2**63, None, math.nan, True, 10**5_000, (1,), np.array([1]), pd.NA])
    assert unknown.items == ()
    assert len(unknown.reasons) == 9
    assert all(code.startswith("unknown_item:") and len(code) < 200 for code in unknown.reasons)
    assert {"unknown_item:'x'", f"unknown_item:{2**63}"} <= set(unknown.reasons)


def test_an_item_twice_comes_back_once(live: Live) -> None:
    answer = live.rank(7, [5, "5", 5, 6])
    assert sorted(item.item_id for item in answer.items) == [5, 6]
    assert answer.reasons == ("duplicate_items",)


FORMS = [
    list, iter, np.array, pd.Series, tuple, pd.Index, lambda given: (one for one in given),
    lambda given: pd.DataFrame({"item_id": given}, index=range(7, 7 + len(given)))["item_id"],
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_list_in_any_form(live: Live, form: Any) -> None:
    assert scores(live.rank(7, form([5, 9, 1]))) == scores(live.rank(7, [1, 5, 9]))


@pytest.mark.parametrize(
    "items", [None, "5,9", b"5", 5, {5: 1}, pd.DataFrame({"item_id": [5]}), np.array([[5]]), np.nan, object()]
)
def test_what_is_no_list_is_refused(live: Live, items: Any) -> None:
    with pytest.raises(FunnelError, match=r"items is .* a list of item ids is expected"):
        live.rank(7, items)


def test_arguments_that_cannot_be_meant(live: Live) -> None:
    with pytest.raises(FunnelError, match="items holds more than 10,000 ids"):
        live.rank(7, iter(int, 1))
    with pytest.raises(FunnelError, match="rerank is 1"):
        live.rank(7, [5], rerank=1)  # type: ignore[arg-type]
    for wrong in ({"history": 5}, {"time": 1.7e12}, {"attributes": ["colour"]}, {"user": 3}):
        with pytest.raises(FunnelError, match=next(iter(wrong))):
            live.rank(7, [5], **wrong)  # type: ignore[arg-type]


def test_options_are_those_of_recommend(live: Live) -> None:
    options: dict[str, Any] = {"history": live.history(3), "attributes": ["title"], "time": 1_020_000_000}
    found = live.recommend("nobody", 50, **options)
    ranked = live.rank("nobody", [item.item_id for item in found.items], **options)
    assert (scores(ranked), ranked.reasons) == (scores(found), found.reasons)
    assert all(set(item.attributes) == {"title"} for item in ranked.items)
    assert list(ranked.milliseconds) == ["retrieve", "rank"]


def test_the_list_is_reranked_where_that_is_wanted(live: Live) -> None:
    answer = live.rank(7, range(1, 31), rerank=True)
    assert len(answer.items) == 30
    assert list(answer.milliseconds) == ["retrieve", "rank", "rerank"]
    assert live.rank(7, [], rerank=True).items == ()


def test_new_items_are_ranked_and_deleted_ones_are_named(changing: Live) -> None:
    changing.items.upsert(frame([1000], [1990.0]))
    changing.items.delete([5])
    answer = changing.rank(7, [5, 1000, 9])
    assert {item.item_id for item in answer.items} == {1000, 9}
    assert answer.reasons == ("deleted_item:5",)
    assert scores(changing.rank(7, [1000]))[0][1] == dict(scores(answer))[1000]
    with pytest.raises(FunnelError, match="item 5 was deleted"):
        changing.explain(7, 5)


def test_lists_are_whole_while_items_change(changing: Live) -> None:
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            changing.items.delete([5, 6])
            changing.items.upsert(frame([5, 6, 2000], [1990.0, 1991.0, 1992.0]))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(40):
            answer = changing.rank(7, [5, 6, 7, 8])
            back = {str(item.item_id) for item in answer.items}
            gone = {code.removeprefix("deleted_item:") for code in answer.reasons}
            assert back | gone == {"5", "6", "7", "8"}
            assert not back & gone
    finally:
        stop.set()
        thread.join()


def test_a_list_costs_one_query_of_the_towers(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    encode = QueryEncoder.encode

    def counted(self: QueryEncoder, requests: Any) -> Any:
        asked.append(len(requests))
        return encode(self, requests)

    monkeypatch.setattr(QueryEncoder, "encode", counted)
    items = [item.item_id for item in live.recommend(7, 5).items]
    asked.clear()
    live.rank(7, items)
    assert asked == [1]
