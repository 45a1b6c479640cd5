"""What is shown of a request is what answered it; why an item is missing, held against slow exact answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.serving.request import Request
from tests.service.conftest import post

from funnel.service.app import Service  # isort: skip
from funnel.service.answers import TracedBody
from funnel.service.explore import trace
from funnel.service.missing import why

USER = 7


def all_ids(live: Live) -> list[Any]:
    return live.contents.catalogue.ids.take(np.arange(len(live.contents.catalogue.ids)))


def ids(stage: dict[str, Any]) -> list[Any]:
    return [item["item_id"] for item in stage["items"]]


@pytest.mark.parametrize(
    "request_",
    [
        Request(USER), Request("nobody"), Request(USER, history=[3, 9]),
        Request(USER, where={"genres": "Drama"}), Request(USER, exclude=[5, 6]),
        Request(USER, seen="allow", time=1_030_000_000),
    ],
    ids=str,
)  # fmt: skip
def test_the_last_list_is_the_answer_and_each_is_of_the_one_before(live: Live, request_: Request) -> None:
    asked = {name: getattr(request_, name) for name in ("history", "where", "exclude", "seen", "time")}
    answer = live.recommend(request_.user_id, 8, **asked)
    shown = trace(live, request_, 8, ["genres"]).to_dict(top=1000)
    assert [stage["name"] for stage in shown["stages"]] == list(answer.milliseconds)
    last = shown["stages"][-1]["items"]
    assert [item["item_id"] for item in last] == [item.item_id for item in answer.items]
    assert [item["score"] for item in last] == [pytest.approx(item.score) for item in answer.items]
    assert [item["sources"] for item in last] == [item.sources for item in answer.items]
    assert [item["title"] for item in last] == [item.attributes["title"] for item in answer.items]
    assert [item["attributes"]["genres"] for item in last] == [
        item.attributes["genres"] for item in answer.items
    ]
    assert [item["reasons"] for item in shown["items"]] == [list(item.reasons) for item in answer.items]
    assert shown["reasons"] == [code for code in answer.reasons if code in shown["reasons"]]
    for before, after in zip(shown["stages"], shown["stages"][1:], strict=False):
        assert set(ids(after)) <= set(ids(before))
        for item in after["items"]:
            assert item["moved"] == ids(before).index(item["item_id"]) + 1 - item["position"]


def test_lists_are_cut_and_say_how_long_they_are(live: Live) -> None:
    whole, cut = (trace(live, Request(USER), 10).to_dict(top) for top in (1000, 3))
    for all_of, few in zip(whole["stages"], cut["stages"], strict=True):
        assert few["count"] == all_of["count"] == len(all_of["items"])
        assert few["items"] == all_of["items"][:3]


def test_a_stored_history_is_told_to_those_who_may_see_it(live: Live) -> None:
    stored, given = trace(live, Request(USER)), trace(live, Request(USER, history=[3, 9]))
    known = stored.to_dict(1000, stored=True)
    assert [item["item_id"] for item in known["history"]] == live.history(USER)[::-1]
    assert stored.to_dict(1000) == known | {"history": []}
    assert known["history_length"] == len(live.history(USER))
    assert [item["item_id"] for item in given.to_dict()["history"]] == [9, 3]


def test_tower_ranks_are_those_of_every_item_scored_and_sorted(live: Live) -> None:
    """The reference scores all items one by one, and sorts them in Python."""
    traced = trace(live, Request(USER), 10)
    contents = live.contents
    query = contents.queries.encode(traced.requests)[0].astype(np.float64)
    may = [item for item in all_ids(live) if why(traced, item).code not in ("excluded", "deleted")]
    assert set(may) == set(all_ids(live)) - set(live.history(USER))
    scored = []
    for item in may:
        row = contents.catalogue.ids.row(item)
        product = sum(float(a) * float(b) for a, b in zip(query, contents.vectors[row], strict=True))
        scored.append((-round(product, 5), row, item))
    scored.sort()
    exact = {item: rank for rank, (_, _, item) in enumerate(scored, start=1)}
    checked = 0
    for item in list(exact)[::7]:
        of = {standing.source: standing for standing in why(traced, item).standings}
        assert of["towers"].rank is not None
        assert abs(of["towers"].rank - exact[item]) <= 1  # rounding of equal scores
        checked += 1
    assert checked > 10


def test_standings_agree_with_what_sources_found(live: Live) -> None:
    traced = trace(live, Request(USER), 10)
    first = traced.to_dict(1000)["stages"][0]
    found = {item["item_id"]: item["sources"] for item in first["items"]}
    for item in list(found)[::5]:
        for standing in why(traced, item).standings:
            assert standing.returned == (standing.source in found[item])
            if standing.returned:  # the index of a catalogue this small is exact
                assert standing.rank == found[item][standing.source]


def test_each_item_has_one_reason_and_it_is_true(live: Live) -> None:
    where = {"genres": ["Drama", "Comedy"], "and": [{"not": {"genres": "Horror"}}]}
    request = Request(USER, where=where, exclude=[11, 12, 13])
    traced = trace(live, request, 10)
    answer = live.recommend(USER, 10, where=where, exclude=[11, 12, 13])
    history = set(live.history(USER))
    frame = live.contents.catalogue.frame
    codes: dict[str, int] = {}
    for row, item in enumerate(all_ids(live)):
        reason = why(traced, item)
        codes[reason.code] = codes.get(reason.code, 0) + 1
        genres = list(frame["genres"].iloc[row])
        passes = bool({"Drama", "Comedy"} & set(genres)) and "Horror" not in genres
        if item in [one.item_id for one in answer.items]:
            position = [one.item_id for one in answer.items].index(item) + 1
            assert (reason.code, reason.sentence) == ("listed", f"listed: position {position} of 10")
        elif not passes:
            assert reason.code == "filtered"
            assert ("genres: ['Drama', 'Comedy']" in reason.sentence) == (
                not {"Drama", "Comedy"} & set(genres)
            )
            assert ("not: {'genres': 'Horror'}" in reason.sentence) == ("Horror" in genres)
        elif item in (11, 12, 13):
            assert reason.sentence == "excluded: the request names it in `exclude`"
        elif item in history:
            assert reason.sentence == "excluded: seen"
        else:
            assert reason.code in ("not_retrieved", "shortlist", "ranked_below", "diversity")
    assert codes["listed"] == 10
    assert {"filtered", "excluded"} <= set(codes)
    assert sum(codes.values()) == len(frame)


def test_what_is_ranked_too_low_says_where(live: Live) -> None:
    traced = trace(live, Request(USER), 10)
    before = traced.to_dict(1000)["stages"][-2]
    reasons = [why(traced, item["item_id"]) for item in before["items"]]
    low = [
        (reason, item)
        for reason, item in zip(reasons, before["items"], strict=True)
        if reason.code != "listed"
    ]
    assert low
    for reason, item in low:
        assert reason.positions[before["name"]] == item["position"]
        assert f"{item['position']}" in reason.sentence
        assert reason.stage == traced.steps[-1].name


def test_unknown_and_deleted_items(live: Live) -> None:
    listed = live.recommend(USER, 3).items[0].item_id
    live.items.delete([listed])
    traced = trace(live, Request(USER), 10)
    assert why(traced, listed).code == "deleted"
    assert why(traced, "no such item").code == "unknown"
    assert "no such item" in why(traced, "no such item").sentence


def test_over_http(live: Live) -> None:
    service = Service(live)
    body = {"user_id": USER, "where": {"genres": "Drama"}, "attributes": ["genres"], "top": 5, "item_id": 3}
    answer = post(service, "/v1/trace", body)
    assert answer.status_code == 200, answer.text
    traced = trace(live, Request(USER, where={"genres": "Drama"}), 10, ["genres"])
    told = answer.json()
    assert told["why"] == why(traced, 3).to_dict()
    TracedBody.model_validate(told)
    assert [stage["items"] for stage in told["stages"]] == [
        stage["items"] for stage in traced.to_dict(5)["stages"]
    ]
    refused = post(service, "/v1/trace", {"user_id": USER, "k": 100_000})
    assert refused.status_code == 422
    assert "at most 1,000" in refused.json()["detail"]
    refused = post(service, "/v1/trace", {"user_id": USER, "attributes": ["titel"]})
    assert refused.status_code == 422
    assert "title" in refused.json()["detail"]
