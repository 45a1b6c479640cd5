"""Items and people over HTTP, and events that are sent again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from funnel import Live
from funnel.service.app import Service
from funnel.serving.state import sqlite_keys
from tests.service.conftest import get, post

NEW = {"item_id": 9001, "title": "New (2026)", "genres": ["Western"], "year": 2026}


def test_items_come_change_and_go(live: Live) -> None:
    service = Service(live)
    assert post(service, "/v1/items", {"items": [NEW]}, "PUT").json() == {"accepted": 1}
    item = get(service, "/v1/items/9001").json()
    assert (item["attributes"]["title"], item["version"]) == ("New (2026)", live.version)
    western = post(service, "/v1/recommend", {"where": {"genres": "Western"}}).json()
    assert [one["item_id"] for one in western["items"]] == [9001]
    patches = {"9001": {"year": 1999}, "7": {"year": 1950}, "nothing": {"year": 1}}
    assert post(service, "/v1/items", {"patches": patches}, "PATCH").json() == {"missing": ["nothing"]}
    assert get(service, "/v1/items/9001").json()["attributes"]["year"] == 1999
    assert get(service, "/v1/items/7").json()["attributes"]["year"] == 1950
    gone = post(service, "/v1/items", {"item_ids": [9001, "x"]}, "DELETE").json()
    assert gone == {"missing": ["x"]}
    assert get(service, "/v1/items/9001").status_code == 404


def test_neighbours_are_those_of_live(live: Live) -> None:
    service = Service(live)
    found = get(service, "/v1/items/17/similar?k=4&user_id=7").json()
    expected = live.similar("17", 4, user_id="7")
    assert [item["item_id"] for item in found["items"]] == [item.item_id for item in expected.items]
    assert get(service, "/v1/items/a/b/similar").json()["reasons"] == ["unknown_item:'a/b'"]


def test_a_slash_of_an_id_ends_no_part_of_the_path(live: Live) -> None:
    service = Service(live)
    ids = ("bob", "bob/history", "bob/history/history")
    for count, user in enumerate(ids, 1):
        post(service, "/v1/events", {"events": [{"user_id": user, "item_id": 5 + n} for n in range(count)]})
    for count, user in enumerate(ids, 1):
        written = quote(user, safe="")
        known = get(service, f"/v1/users/{written}").json()
        assert (known["user_id"], len(known["events"])) == (user, count)
        assert len(get(service, f"/v1/users/{written}/history").json()["history"]) == count
    assert get(service, "/v1/users/bob/history").json() == {"history": [5]}
    assert "no item '5/similar'" in get(service, "/v1/items/5%2Fsimilar").json()["detail"]
    assert get(service, "/v1/items/5/similar").json()["items"]
    assert get(service, "/v1/items/a%252Fb").json()["detail"].startswith("no item 'a%2Fb'")
    assert post(service, "/v1/users/bob%2Fhistory", {}, "DELETE").json()["events"] == 2
    assert live.history("bob") == [5]


#: method, path, body, status, a part of what is told.
WRONG: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "/v1/items", {"items": [{"item_id": 1}]}, 422, "no column 'title'"),
    ("PUT", "/v1/items", {"items": [NEW, {**NEW, "item_id": 2, "colour": 1}]}, 422, "'colour'"),
    ("PUT", "/v1/items", {"items": [NEW, NEW]}, 422, "twice"),
    ("PUT", "/v1/items", {"items": [{**NEW, "item_id": "text"}]}, 422, "whole numbers"),
    ("PUT", "/v1/items", {"items": [{**NEW, "year": {"a": [1]}}]}, 422, "year"),
    ("PUT", "/v1/items", {"items": []}, 422, "at least 1"),
    ("PATCH", "/v1/items", {"patches": {"7": {"year": 1}, "8": {"title": "x"}}}, 422, "cannot be patched"),
    ("PATCH", "/v1/items", {"patches": {"7": {"year": "soon"}}}, 422, "year"),
    ("PATCH", "/v1/items", {"patches": [7]}, 422, "valid dictionary"),
    ("DELETE", "/v1/items", {"items": [7]}, 422, "did you mean 'item_ids'?"),
    ("POST", "/v1/items", {"items": [NEW]}, 405, "takes DELETE, PATCH, PUT"),
    ("GET", "/v1/items/404", None, 404, "no item '404'"),
    ("GET", "/v1/items/1/similar?k=0", None, 422, "from 1 to 1,000"),
    ("GET", "/v1/items/1/similar?k=9999999999999", None, 422, "from 1 to 1,000"),
    ("GET", "/v1/items/1/similar?user=7", None, 422, "did you mean 'user_id'?"),
    ("GET", "/v1/users/7?x=1", None, 422, "no parameter 'x'"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "told"), WRONG, ids=lambda part: str(part)[:50])
def test_what_is_wrong_changes_nothing(
    live: Live, method: str, path: str, body: Any, status: int, told: str
) -> None:
    service, before = Service(live), live.items.state
    answer = get(service, path) if body is None else post(service, path, body, method)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]
    assert live.items.state == before


def test_all_that_is_known_of_a_person_is_told_and_forgotten(live: Live) -> None:
    service = Service(live)
    events = [
        {"user_id": 7, "item_id": 3, "value": 2.5, "answer": "4709ef29e523b884a158f8cc"},
        {"user_id": 7, "item_id": 4, "kind": "impression"},
    ]
    post(service, "/v1/events", {"events": events})
    known = get(service, "/v1/users/7").json()
    assert known["bundle"]["version"] == live.version
    assert [event["item_id"] for event in known["bundle"]["history"]] == live.history(7)[:-1]
    (event,) = known["events"]
    assert (event["item_id"], event["value"]) == ("3", 2.5)
    assert event["answer"] == "4709ef29e523b884a158f8cc"
    assert [shown["item_id"] for shown in known["impressions"]] == ["4"]
    gone = post(service, "/v1/users/7", b"", "DELETE").json()
    assert gone == {"events": 1, "impressions": 1, "answers": 0, "bundle": live.version}
    known = get(service, "/v1/users/7").json()
    nothing: dict[str, list[object]] = {"events": [], "impressions": [], "answers": []}
    assert known == {"user_id": "7", "bundle": None, **nothing}
    assert "unknown_user" in post(service, "/v1/recommend", {"user_id": 7}).json()["reasons"]


EVENTS = {"events": [{"user_id": "a", "item_id": 3}, {"user_id": "a", "item_id": 4, "kind": "impression"}]}


def told_again(service: Service, live: Live, other: Live) -> None:
    """In this process and in another one; with another body it is refused."""
    for _ in range(3):
        assert post(service, "/v1/events", EVENTS, idempotency_key="k1").json() == {"accepted": 2}
    assert post(Service(other), "/v1/events", EVENTS, idempotency_key="k1").json() == {"accepted": 2}
    wrong = post(service, "/v1/events", {"events": [EVENTS["events"][0]]}, idempotency_key="k1")
    assert wrong.status_code == 422
    assert "given before with other events" in wrong.json()["detail"]
    known = live.users.known("a")
    assert (len(known["events"]), len(known["impressions"])) == (1, 1)
    post(service, "/v1/events", EVENTS, idempotency_key="k2")
    assert len(live.users.known("a")["events"]) == 2


def test_events_under_a_key_are_taken_in_once(live: Live) -> None:
    other = Live(live.folder)
    told_again(Service(live), live, other)
    other.close()


def test_a_key_without_its_events_was_never_used(live: Live) -> None:
    """Both are of one transaction: what was refused leaves no key behind."""
    service = Service(live)
    wrong = {"events": [{"user_id": "a", "item_id": 3, "kind": "no such"}]}
    assert post(service, "/v1/events", wrong, idempotency_key="k").status_code == 422
    assert post(service, "/v1/events", EVENTS, idempotency_key="k").status_code == 200
    assert len(live.users.known("a")["events"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tbed"])
def test_keys_that_are_none(live: Live, key: str) -> None:
    answer = post(Service(live), "/v1/events", EVENTS, idempotency_key=key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]
    assert live.users.known("a")["events"] == []


def test_keys_are_bounded_and_hold_nobody(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_keys, "MOST", 50)
    for number in range(3000):
        live.observe(("a", 3), key=f"anna@example.org-{number}")
    file = live.folder / "live" / "state.sqlite"
    live.close()
    with sqlite3.connect(file) as connection:
        (count,) = connection.execute("SELECT count(*) FROM keys").fetchone()
    assert 50 <= count <= 2000  # removed now and then
    assert b"anna" not in file.read_bytes()


def test_a_file_of_an_earlier_funnel_is_read_and_written(live: Live) -> None:
    live.observe(("a", 3))
    live.close()
    file: Path = live.folder / "live" / "state.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE events DROP COLUMN answer")
    assert [event["item_id"] for event in live.users.known("a")["events"]] == ["3"]
    live.observe(("a", 4, None, None, None, "an answer"), key="k")
    assert [event["answer"] for event in live.users.known("a")["events"]] == [None, "an answer"]
