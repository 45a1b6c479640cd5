"""Asking a published bundle, also for what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from funnel import Live
from funnel.errors import BundleError, ConfigError, FunnelError
from tests.tiny import GENRES, TinyBuild


@pytest.fixture(scope="module")
def live(built: TinyBuild) -> Live:
    return Live(built.indexes)


def ids(answer: object) -> list[int]:
    return [item.item_id for item in answer.items]  # type: ignore[attr-defined]


def test_a_known_user_gets_k_new_items_with_scores_sources_and_reasons(live: Live) -> None:
    answer = live.recommend(7, k=10)
    assert len(answer.items) == 10
    assert len(set(ids(answer))) == 10
    assert not set(ids(answer)) & set(live.history(7))
    assert answer.version == live.version
    assert answer.reasons == ()
    for item in answer.items:
        assert np.isfinite(item.score)
        assert item.sources
        assert item.reasons
        assert item.attributes["title"].startswith("Movie ")
    assert list(answer.milliseconds) == list(live.contents.funnel().names)
    json.dumps(answer.to_dict(), allow_nan=False)


def test_the_same_question_has_the_same_answer(live: Live) -> None:
    first, second = live.recommend(7), live.recommend(7)
    assert [(i.item_id, i.score) for i in first.items] == [(i.item_id, i.score) for i in second.items]


@pytest.mark.parametrize("user", [10**9, "nobody", None, 3.5])
def test_an_unknown_user_is_no_error(live: Live, user: object) -> None:
    answer = live.recommend(user)
    assert len(answer.items) == 10
    assert answer.reasons == ("unknown_user", "empty_history")


def test_an_unknown_user_with_a_history_is_answered_from_it(live: Live) -> None:
    history = live.history(7)
    answer = live.recommend("new", history=history)
    assert answer.reasons == ("unknown_user",)
    assert not set(ids(answer)) & set(history)
    assert any(code.startswith("similar_to:") for item in answer.items for code in item.reasons)


def test_items_that_the_catalogue_does_not_have_are_left_out_of_a_history(live: Live) -> None:
    history = live.history(7)
    with_unknown = live.recommend(7, history=[*history, "gone", 10**9, None])
    assert with_unknown.reasons == ("unknown_items_in_history",)
    assert ids(with_unknown) == ids(live.recommend(7, history=history))


def test_an_empty_history(live: Live) -> None:
    answer = live.recommend(7, history=[])
    assert answer.reasons == ("empty_history",)
    assert len(answer.items) == 10


def test_a_filter_returns_only_what_passes(live: Live) -> None:
    answer = live.recommend(7, where={"genres": GENRES[2], "year": {"ge": 1990, "lt": 2000}})
    assert answer.items
    for item in answer.items:
        assert GENRES[2] in item.attributes["genres"]
        assert 1990 <= item.attributes["year"] < 2000


def test_a_filter_of_or_and_not(live: Live) -> None:
    either = {"or": [{"genres": GENRES[2]}, {"year": {"lt": 1985}}], "not": {"genres": GENRES[0]}}
    answer = live.recommend(7, k=20, where=either)
    assert answer.items
    for item in answer.items:
        assert GENRES[2] in item.attributes["genres"] or item.attributes["year"] < 1985
        assert GENRES[0] not in item.attributes["genres"]


def test_a_filter_on_what_a_column_does_not_hold(live: Live) -> None:
    with pytest.raises(ConfigError, match=r"filter on 'year'.*this column holds numbers"):
        live.recommend(7, where={"year": "old"})


def test_a_filter_that_nothing_passes(live: Live) -> None:
    answer = live.recommend(7, where={"genres": "Western"})
    assert answer.items == ()
    assert answer.reasons == ("all_filtered",)


def test_a_filter_on_no_column(live: Live) -> None:
    with pytest.raises(ConfigError, match=r"filter on 'genre'.*genres"):
        live.recommend(7, where={"genre": "Comedy"})


def test_a_bound_that_is_none(live: Live) -> None:
    with pytest.raises(ConfigError, match=r"unknown bound.*over"):
        live.recommend(7, where={"year": {"over": 3}})


def test_excluded_items_do_not_come_back(live: Live) -> None:
    first = ids(live.recommend(7))
    second = ids(live.recommend(7, exclude=[*first[:3], "no such item"]))
    assert not set(first[:3]) & set(second)
    assert len(second) == 10


def test_k_larger_than_the_catalogue_returns_everything_new(live: Live) -> None:
    answer = live.recommend(7, k=10_000)
    assert len(answer.items) == 200 - len(set(live.history(7)))
    assert answer.reasons == ("fewer_than_k",)


@pytest.mark.parametrize("k", [0, -1, 2.5, "ten", True, None])
def test_a_k_that_is_none(live: Live, k: object) -> None:
    with pytest.raises(FunnelError, match=r"k is .*whole number of at least 1"):
        live.recommend(7, k=k)  # type: ignore[arg-type]


def test_an_unknown_user_column_is_named(built: TinyBuild, live: Live) -> None:
    with pytest.raises(ConfigError, match=r"user columns.*shoe_size"):
        live.recommend(7, user={"shoe_size": 44})


def test_explain_adds_up_to_the_score(live: Live) -> None:
    item = live.recommend(7).items[0]
    parts = live.explain(7, item.item_id)
    assert sum(parts.values()) == pytest.approx(item.score, abs=1e-4)
    assert "base" in parts


def test_explain_says_what_it_cannot(live: Live) -> None:
    with pytest.raises(FunnelError, match="not in the catalogue"):
        live.explain(7, "no such item")


def test_explain_adds_up_for_items_that_recommend_does_not_return(live: Live) -> None:
    seen = live.history(7)[0]
    assert sum(live.explain(7, seen).values()) == pytest.approx(live.rank(7, [seen]).items[0].score, abs=1e-4)


def test_there_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        Live(tmp_path / "nothing")


def test_many_users_get_what_each_would_get_alone(live: Live) -> None:
    users = [7, "nobody", 3, 7]
    for where in (None, {"genres": ["Comedy"]}):
        many = live.recommend_many(users, k=5, where=where)
        alone = [live.recommend(user, k=5, where=where) for user in users]
        assert [one.items for one in many] == [one.items for one in alone]
        assert [one.reasons for one in many] == [one.reasons for one in alone]
        assert [one.user_id for one in many] == users
    assert live.recommend_many([]) == []
    with pytest.raises(FunnelError, match="k is 0"):
        live.recommend_many([7], k=0)


def test_a_deadline_leaves_out_what_would_end_later_and_says_so(live: Live) -> None:
    hurried, unhurried = live.recommend(7, deadline=0), live.recommend(7, deadline=60_000)
    skippable = {f"skipped:{name}" for name in ("rank", "rerank")} & {
        f"skipped:{name}" for name in live.contents.funnel().names
    }
    assert set(hurried.reasons) == skippable
    assert len(hurried.items) == 10
    assert not set(ids(hurried)) & set(live.history(7))
    assert unhurried.reasons == ()
    assert ids(unhurried) == ids(live.recommend(7))


@pytest.mark.parametrize(
    ("option", "value"),
    [("deadline", float("nan")), ("deadline", "soon"), ("time", float("nan")), ("time", "now"), ("time", [])],
)
def test_a_time_that_is_none_is_named(live: Live, option: str, value: object) -> None:
    with pytest.raises(FunnelError, match=f"{option} is"):
        live.recommend(7, **{option: value})  # type: ignore[arg-type]
    if option == "time":
        with pytest.raises(FunnelError, match="time is"):
            live.recommend_many([7], time=value)  # type: ignore[arg-type]


def test_one_id_is_no_list_of_ids(live: Live) -> None:
    with pytest.raises(FunnelError, match="a list of user ids"):
        live.recommend_many("77")
