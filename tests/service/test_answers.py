"""What the service answers is what `Live` answers, one by one and in batches."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from time import time
from typing import Any

import pytest

from funnel import Live
from funnel.errors import DataError, FunnelError
from tests.service.conftest import asked, get, post

from funnel.service.app import Service  # isort: skip
from funnel.service.answers import AnswerBody, AnswersBody
from funnel.service.config import ServeConfig
from funnel.service.writing import answer_json


def same(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is another at each time."""
    return {name: value for name, value in answer.items() if name not in ("id", "milliseconds")}


REQUESTS: list[dict[str, Any]] = [
    {},
    {"user_id": 7},
    {"user_id": "7", "k": 3},
    {"user_id": "nobody", "k": 200},
    {"user_id": 7, "history": [1, 2, "gone"], "exclude": [3]},
    {"user_id": 7, "where": {"genres": "Comedy"}, "attributes": ["title"]},
    {"user_id": 7, "seen": "allow", "time": 1_030_000_000, "deadline": 10_000},
]


@pytest.mark.parametrize("body", REQUESTS, ids=map(str, REQUESTS))
def test_recommend_is_that_of_live(live: Live, body: dict[str, Any]) -> None:
    answer = post(Service(live), "/v1/recommend", body)
    assert answer.status_code == 200
    assert same(answer.json()) == same(live.recommend(**body).to_dict())
    AnswerBody.model_validate(answer.json())


def test_rank_many_and_explain_are_those_of_live(live: Live) -> None:
    service = Service(live)
    body = {"user_id": 7, "items": [17, 5, 903, 5], "rerank": True}
    assert same(post(service, "/v1/rank", body).json()) == same(live.rank(**body).to_dict())
    users = [*range(1, 60), "nobody"]  # more than a batch
    many = post(service, "/v1/recommend/many", {"user_ids": users, "k": 3}).json()
    AnswersBody.model_validate(many)
    assert [same(one) for one in many["answers"]] == [
        same(one.to_dict()) for one in live.recommend_many(users, 3)
    ]
    found = post(service, "/v1/explain", {"user_id": 7, "item_id": 5}).json()["contributions"]
    assert found == pytest.approx(live.explain(7, 5))


def test_what_waits_is_answered_together_and_the_same(live: Live) -> None:
    """Also beside requests that cannot be, and one that is wrong, which hurts no other."""
    service = Service(live, ServeConfig(batch=16))
    bodies: list[dict[str, Any]] = [{"user_id": user, "k": 4} for user in range(1, 41)]
    bodies += [{"user_id": 3, "k": 4, "history": [5]}, {"user_id": 4, "k": 4, "context": {"no": 1}}]
    for own in ({"where": {"genres": "Drama"}}, {"k": 7}, {"seen": "allow"}, {"time": 1_020_000_000}):
        bodies += [{"user_id": user, "k": 4, **own} for user in range(1, 6)]
    random.Random(0).shuffle(bodies)

    async def at_once(own: Any) -> list[Any]:
        return list(await asyncio.gather(*(own.post("/v1/recommend", json=body) for body in bodies)))

    answers = asked(service, at_once)
    for body, answer in zip(bodies, answers, strict=True):
        if "context" in body:
            assert answer.status_code == 422
            assert "no context column 'no'" in answer.json()["detail"]
        else:
            assert same(answer.json()) == same(live.recommend(**body).to_dict())
    batcher = service.hot.batcher
    assert batcher.answered == len(bodies)
    assert batcher.batches < len(bodies) / 3


def test_one_request_makes_one_batch_at_once(live: Live) -> None:
    service = Service(live)
    for number in range(1, 4):
        assert post(service, "/v1/recommend", {"user_id": 7}).status_code == 200
        assert (service.hot.batcher.batches, len(service.hot.batcher)) == (number, 0)


def test_every_answer_has_an_id_the_version_and_the_state(live: Live) -> None:
    service = Service(live)
    first, second = (post(service, "/v1/recommend", {"user_id": 7}).json() for _ in range(2))
    assert first["id"] != second["id"]
    assert first["version"] == live.version
    assert first["state"] == second["state"]
    events = [{"user_id": 7, "item_id": 3}, {"user_id": 7, "item_id": 4, "kind": "impression"}]
    assert post(service, "/v1/events", {"events": events}).json() == {"accepted": 2}
    third = post(service, "/v1/recommend", {"user_id": 7}).json()
    assert third["state"] != first["state"]
    assert live.history(7)[-1] == 3  # not 4: that was shown
    assert live.health()["state"]["impressions"] == 1


def test_probes(live: Live) -> None:
    service = Service(live)
    assert get(service, "/health/live").json() == {"status": "live"}
    ready = get(service, "/health/ready").json()
    assert ready == {"status": "ready", "version": live.version, "state": live.position}
    service.drain()
    refused = get(service, "/health/ready")
    assert refused.status_code == 503
    answer = post(service, "/v1/recommend", {})
    assert answer.status_code == 200  # whoever is connected is answered, and told to connect elsewhere
    assert answer.headers["connection"] == "close"


def test_a_state_that_cannot_be_read_is_told_without_its_path(live: Live) -> None:
    service = Service(live)
    post(service, "/v1/events", {"events": [{"user_id": 7, "item_id": 3}]})
    live.close()
    for path in (live.folder / "live").glob("state.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    answer = post(service, "/v1/recommend", {"user_id": 7})
    assert answer.status_code == 200
    assert "state_unreadable" in answer.json()["reasons"]
    for refused in (
        get(service, "/health/ready"),
        post(service, "/v1/events", {"events": [{"user_id": 7, "item_id": 3}]}),
    ):
        assert refused.status_code == 503
        assert str(live.folder) not in refused.text
        assert "state" in refused.json()["detail"]


def test_a_state_elsewhere_is_told_without_its_folder(indexes: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "söcret" / "place"
    live = Live(indexes, state=elsewhere / "state.sqlite")
    service = Service(live)
    post(service, "/v1/events", {"events": [{"user_id": 7, "item_id": 3}]})
    live.close()
    for path in elsewhere.glob("state.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    post(service, "/v1/recommend", {"user_id": 7})
    event = {"events": [{"user_id": 7, "item_id": 3}]}
    told = [get(service, "/health"), post(service, "/v1/events", event), get(service, "/view/overview")]
    assert [reply.status_code for reply in told] == [200, 503, 200]
    for reply in told:
        assert "cret" not in reply.text
        assert str(tmp_path) not in reply.text
    assert told[0].json()["state"]["error"].startswith("state.sqlite ")
    assert told[1].json()["detail"].startswith("state.sqlite ")


@pytest.mark.parametrize("path", ["recommend", "rank", "explain", "similar", "trace", "recommend/many"])
def test_parts_of_a_second_are_cut_off(live: Live, path: str) -> None:
    whole = {"item_id": 3} if path in ("explain", "similar") else {"items": [3]} if path == "rank" else {}
    body = {"user_ids": [7]} if path.endswith("many") else {"user_id": 7, **whole}
    service = Service(live)
    for moment in (1_000_400_000, 1_000_400_000.75):
        answer = post(service, f"/v1/{path}", {**body, "time": moment})
        assert answer.status_code == 200, answer.text
    refused = post(service, f"/v1/{path}", {**body, "time": "soon"})
    assert "A moment is a number of seconds since 1970; it is 'soon'" in refused.json()["detail"]


def test_an_event_has_the_second_that_it_is_in(live: Live) -> None:
    service = Service(live)
    at = int(time()) - 10
    assert post(
        service, "/v1/events", {"events": [{"user_id": "a", "item_id": 3, "time": at + 0.9}]}
    ).is_success
    assert [event["time"] for event in live.users.known("a")["events"]] == [at]
    schemas = get(service, "/openapi.json").json()["components"]["schemas"]
    assert {"type": "number"} in schemas["EventBody"]["properties"]["time"]["anyOf"]


def test_json_is_that_of_to_dict(live: Live) -> None:
    answer = live.recommend("\u20ac7", k=3)
    assert json.loads(answer_json(answer)) == answer.to_dict()
    answer = live.recommend(7, k=200)
    assert json.loads(answer_json(answer)) == answer.to_dict()


WRONG: list[tuple[str, Any]] = [
    ("k", 0), ("k", "x"), ("history", "abc"), ("exclude", 5), ("time", "x"), ("deadline", "x"),
    ("attributes", "title"), ("seen", 7), ("seen", []), ("seen", "never"), ("seen", ["bought"]), ("where", 5),
    ("where", {"nothing": 1}), ("user", 5), ("user", {"nothing": 1}), ("context", {"nothing": 1}),
]  # fmt: skip


@pytest.mark.parametrize("user", [True, [1], "", "x" * 4_097])
def test_what_is_no_id_of_a_user_is_refused_as_it_is_in_python(live: Live, user: Any) -> None:
    with pytest.raises(DataError):
        live.recommend(user)
    answer = post(Service(live), "/v1/recommend", {"user_id": user})
    assert (answer.status_code, answer.json()["error"]) == (422, "DataError")


@pytest.mark.parametrize(("name", "value"), WRONG, ids=map(str, WRONG))
def test_what_is_wrong_is_an_error_of_the_same_class(live: Live, name: str, value: Any) -> None:
    with pytest.raises(FunnelError) as raised:
        live.recommend(7, **{name: value})
    answer = post(Service(live), "/v1/recommend", {"user_id": 7, name: value})
    assert answer.status_code == 422
    assert answer.json()["error"] == type(raised.value).__name__, answer.text


def test_of_a_list_to_rank_and_of_events_too(live: Live) -> None:
    for path, body, kind in (
        ("/v1/rank", {"items": 5}, "FunnelError"),
        ("/v1/recommend/many", {"user_ids": 5}, "FunnelError"),
        ("/v1/events", {"events": [{"user_id": 7, "item_id": 1, "value": -1}]}, "DataError"),
        ("/v1/rank", {"items": [5], "kk": 5}, "DataError"),
        ("/v1/rank", {}, "DataError"),
    ):
        assert post(Service(live), path, body).json()["error"] == kind
