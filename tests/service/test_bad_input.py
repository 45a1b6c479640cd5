"""What cannot be meant is a problem document that says what would be right; nothing is left by it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from funnel import Live
from funnel.plugins import PluginFault
from tests.service.conftest import get, post

from funnel.service.app import Service  # isort: skip
from funnel.service.answers import ProblemBody
from funnel.service.config import ServeConfig

#: A body that is right, by path.
RIGHT: dict[str, dict[str, Any]] = {
    "/v1/recommend": {"user_id": 7},
    "/v1/recommend/many": {"user_ids": [7]},
    "/v1/rank": {"user_id": 7, "items": [1, 2]},
    "/v1/explain": {"user_id": 7, "item_id": 5},
    "/v1/trace": {"user_id": 7, "item_id": 5},
    "/v1/events": {"events": [{"user_id": 7, "item_id": 5}]},
}
DEEP = b'{"where":' + b'{"not":' * 5000 + b"1" + b"}" * 5001

#: What is wrong in any body: the bytes, the status, a part of what is told.
NO_JSON = [
    (b"", 400, "the body is empty"),
    (b" \n ", 400, "the body is empty"),
    (b"{", 400, "not JSON"),
    (b'{"time": NaN}', 400, "not JSON"),
    (b'{"time": Infinity}', 400, "not JSON"),
    (b'{"time": 1e999}', 400, "beyond those of 64 bits"),
    (b'{"context": {"x": [-1E+400]}}', 400, "beyond those of 64 bits"),
    (b'{"time": ' + b"9" * 5000 + b"}", 400, "not JSON"),
    (DEEP, 400, "recursion limit"),
    (b"[" * 100_000, 400, "recursion limit"),
    (b'{"user_id": "\xff"}', 400, "not JSON"),
    (b'{"user_id": "\\ud800"}', 400, "not JSON"),
    (b"'user_id'", 400, "not JSON"),
    (b"[]", 422, "a JSON object is expected"),
    (b"null", 422, "a JSON object is expected"),
    (b'"text"', 422, "a JSON object is expected"),
    (b'{"user_idd": 7, "usr": 1}', 422, ""),
]


def refused(answer: Any, status: int, told: str) -> dict[str, Any]:
    """The document of an answer that is a problem, and names nothing of this machine."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    ProblemBody.model_validate(document)
    assert document["status"] == status
    assert told in document["detail"]
    for word in ("Traceback", "site-packages", ".py", "/tmp", "0x"):
        assert word not in answer.text
    return document


@pytest.mark.parametrize("path", RIGHT)
def test_what_is_no_body(live: Live, path: str) -> None:
    service = Service(live)
    assert post(service, path, RIGHT[path]).status_code == 200
    before = live.position
    for body, status, told in NO_JSON:
        refused(post(service, path, body), status, told)
    assert live.position == before


@pytest.mark.parametrize("path", RIGHT)
def test_limits_and_types_of_bodies(live: Live, path: str) -> None:
    service = Service(live, ServeConfig(body=200, seconds=0.2))
    refused(post(service, path, b" " * 201), 413, "longer than 200 bytes")
    refused(post(service, path, RIGHT[path], content_length="9" * 30), 413, "longer than 200 bytes")
    refused(post(service, path, RIGHT[path], content_type="text/plain"), 415, "application/json is expected")
    refused(get(service, path), 405, "takes POST")
    refused(asyncio.run(told_slowly(service, path)), 408, "did not arrive within 0.2 seconds")


async def told_slowly(service: Service, path: str) -> Any:
    """The answer to a client that sends half of its body, and then nothing."""
    import httpx

    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Any:
        part = next(parts, None)
        return part if part is not None else await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    await service({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])


def test_a_client_that_goes_away_is_sent_nothing(live: Live) -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/recommend", "headers": []}
    asyncio.run(Service(live)(scope, gone, send))


#: What is wrong of one field: path, body, the pointer, a part of what is told.
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("/v1/recommend", {"user_idd": 7}, "/user_idd", "did you mean 'user_id'?"),
    ("/v1/recommend", {"zzz": 7}, "/zzz", "there are: user_id, k, history"),
    ("/v1/recommend", {"a/b~": 7}, "/a~1b~0", "no field"),
    ("/v1/recommend", {"k": "ten"}, "/k", "valid integer"),
    ("/v1/recommend", {"k": True}, "/k", "valid integer"),
    ("/v1/recommend", {"k": 0}, "/k", "greater than or equal to 1"),
    ("/v1/recommend", {"k": 10**9}, "/k", "at most 1,000"),
    ("/v1/recommend", {"k": 10**30}, "/k", "at most 1,000"),
    ("/v1/recommend", {"user_id": [7]}, "/user_id", "a whole number or a text"),
    ("/v1/recommend", {"user_id": 7.5}, "/user_id", "a whole number or a text"),
    ("/v1/recommend", {"history": 7}, "/history", "valid list"),
    ("/v1/recommend", {"history": [1, [2, "view", 3]]}, "/history/1", "a pair of one and a kind"),
    ("/v1/recommend", {"exclude": [1, None]}, "/exclude/1", "a whole number or a text"),
    ("/v1/recommend", {"exclude": [1] * 2000}, "/exclude", "at most 1,000 here (`history` of [serve])"),
    ("/v1/recommend", {"where": {"or": [{"not": {"genres": "a"}}] * 101}}, "", "at most 100"),
    ("/v1/events", {"events": [{"user_id": 7, "item_id": 1}] * 1001}, "/events", "at most 1,000"),
    ("/v1/recommend", {"where": []}, "/where", "valid dictionary"),
    ("/v1/recommend", {"where": {"colour": "red"}}, "", "no such item column"),
    ("/v1/recommend", {"user": {"age": 7}}, "", "user columns"),
    ("/v1/recommend", {"context": {"age": 7}}, "", "no context column"),
    ("/v1/recommend", {"attributes": ["colour"]}, "", "unknown"),
    ("/v1/recommend", {"attributes": "title"}, "/attributes", "valid list"),
    ("/v1/recommend", {"time": 10**13}, "", "milliseconds"),
    ("/v1/recommend", {"time": 10**400}, "", "time"),
    ("/v1/recommend", {"seen": "maybe"}, "/seen", "'exclude' or 'allow'"),
    ("/v1/recommend", {"seen": []}, "/seen", ""),
    ("/v1/recommend", {"deadline": "soon"}, "/deadline", "valid number"),
    ("/v1/recommend/many", {}, "/user_ids", "is missing"),
    ("/v1/recommend/many", {"user_ids": "7"}, "/user_ids", "valid list"),
    ("/v1/recommend/many", {"user_ids": [1] * 2000}, "/user_ids", "at most 1,000"),
    ("/v1/recommend/many", {"user_ids": [1], "context": [{}, {}]}, "", "2 entries for 1 users"),
    ("/v1/rank", {"items": [7], "rerank": "yes"}, "/rerank", "valid boolean"),
    ("/v1/rank", {"items": [1] * 20_000}, "/items", "at most 10000"),
    ("/v1/explain", {"user_id": 7, "item_id": 10**6}, "", "not in the catalogue"),
    ("/v1/events", {"events": []}, "/events", "at least 1 item"),
    ("/v1/events", {"events": [{"user_id": 7}]}, "/events/0/item_id", "is missing"),
    (
        "/v1/events",
        {"events": [{"user_id": 7, "item_id": 1}, {"user_id": 7, "item_id": 1, "tme": 1}]},
        "/events/1/tme",
        "did you mean 'time'?",
    ),
    ("/v1/events", {"events": [{"user_id": 7, "item_id": 1, "value": -1}]}, "/events/0/value", "equal to 0"),
    (
        "/v1/events",
        {"events": [{"user_id": 7, "item_id": 1, "kind": "impresion"}]},
        "",
        "kind is 'impresion'",
    ),
    ("/v1/events", {"events": [{"user_id": 7, "item_id": 1, "time": 10**11}]}, "", "time"),
]


@pytest.mark.parametrize(("path", "body", "pointer", "told"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_of_one_field(
    live: Live, path: str, body: dict[str, Any], pointer: str, told: str
) -> None:
    before = live.position
    document = refused(post(Service(live), path, body), 422, told)
    assert (document.get("errors") or [{"pointer": ""}])[0]["pointer"] == pointer
    assert live.position == before


def test_routes_that_are_not_there(live: Live) -> None:
    service = Service(live)
    refused(get(service, "/v1/recomend"), 404, "did you mean '/v1/recommend'?")
    refused(get(service, "/" + "x" * 10_000), 404, "there are")
    refused(get(service, "/v1/recommend/"), 404, "did you mean")
    document = refused(post(service, "/health/live", b"{}"), 405, "takes")
    assert "GET" in document["detail"]


@pytest.mark.parametrize("kind", [RuntimeError, PluginFault])
def test_an_error_of_ours_says_nothing_of_it(
    live: Live, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise kind("secret at /tmp/here.py")

    service = Service(live)
    monkeypatch.setattr(live, "recommend", broken)
    monkeypatch.setattr(live, "rank", broken)
    for path in ("/v1/recommend", "/v1/rank"):
        document = refused(post(service, path, RIGHT[path]), 500, "an error of the service")
        assert "secret" not in str(document)
