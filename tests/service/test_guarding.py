"""Who is let in: by key and role, from where, and how many at a time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.service import keys
from funnel.service.app import Service
from funnel.service.guarding import Doorkeeper
from funnel.service.keys import Keys
from tests.service.conftest import asked

CLICK = {"events": [{"user_id": 7, "item_id": 1}]}
JSON = {"content-type": "application/json"}


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    return {role: keys.add(tmp_path / "keys.json", role, role) for role in keys.ROLES}


@pytest.fixture
def service(live: Live, tokens: dict[str, str], tmp_path: Path) -> Service:
    return Service(live, guard=Doorkeeper(Keys(tmp_path / "keys.json"), body=1000, in_flight=2))


def send(service: Any, path: str, body: Any = None, **headers: str) -> Any:
    given = {**JSON, **headers}
    if body is None:
        return asked(service, lambda own: own.get(path, headers=headers))
    return asked(service, lambda own: own.post(path, content=json.dumps(body), headers=given))


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic {read}", "{read}", "Bearer {read}x", "Bearer fk_{read}"],
)
def test_without_a_key_nothing_is_said(service: Service, tokens: dict[str, str], header: str) -> None:
    given = header.format(**tokens)
    for path, body in (("/v1/recommend", {"user_id": 7}), ("/v1/nothing", None), ("/metrics", None)):
        reply = send(service, path, body, **({"authorization": given} if header else {}))
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert tokens["read"] not in reply.text
        assert "keys.json" not in reply.text


def test_probes_need_none(service: Service) -> None:
    assert send(service, "/health/live").status_code == 200
    assert send(service, "/health/ready").status_code == 200


@pytest.mark.parametrize(("role", "status"), [("read", 403), ("write", 200), ("admin", 200)])
def test_roles(service: Service, tokens: dict[str, str], role: str, status: int) -> None:
    given = {"authorization": f"bearer {tokens[role]}"}
    assert send(service, "/v1/recommend", {"user_id": 7}, **given).status_code == 200
    assert send(service, "/v1/events", CLICK, **given).status_code == status


def test_a_damaged_file_says_so_and_not_where(
    service: Service, tokens: dict[str, str], tmp_path: Path
) -> None:
    service.guard._keys._every = service.guard._keys._next = 0  # type: ignore[attr-defined]
    (tmp_path / "keys.json").write_text("{")
    reply = send(service, "/v1/recommend", {"user_id": 7}, authorization=f"Bearer {tokens['read']}")
    assert reply.status_code == 503
    assert "keys cannot be read" in reply.text
    assert str(tmp_path) not in reply.text


def test_two_at_a_time_and_the_third_is_asked_to_come_again(service: Service, tokens: dict[str, str]) -> None:
    """Bodies that do not end hold their places; what probes is let in, and places are given back."""
    given = {**JSON, "authorization": f"Bearer {tokens['read']}"}

    async def slow(end: asyncio.Event) -> Any:
        yield b'{"user_id": '
        await end.wait()
        yield b"7}"

    async def work(own: Any) -> list[int]:
        end = asyncio.Event()
        held = [
            asyncio.create_task(own.post("/v1/recommend", content=slow(end), headers=given)) for _ in range(2)
        ]
        while service.guard.in_flight < 2:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        third = await own.post("/v1/recommend", content=b"{}", headers=given)
        assert third.headers["retry-after"] == "1"
        probe = await own.get("/health/live")
        end.set()
        replies = [third, probe, *await asyncio.gather(*held)]
        replies.append(await own.post("/v1/recommend", content=b"{}", headers=given))
        return [reply.status_code for reply in replies]

    assert asked(service, work) == [429, 200, 200, 200, 200]
    assert service.guard.in_flight == 0  # type: ignore[attr-defined]


def test_a_refused_request_holds_no_place(service: Service, tokens: dict[str, str]) -> None:
    for _ in range(5):
        send(service, "/v1/recommend", {"user_id": 7})
        send(service, "/v1/recommend", {"k": 0}, authorization=f"Bearer {tokens['read']}")
    assert service.guard.in_flight == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", None, 200),
        ("localhost:8000", "http://localhost:8000", 200),
        ("[::1]:8000", None, 200),
        ("evil.example", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("127.0.0.1:8000", "http://evil.example", 403),
        ("127.0.0.1:8000", "null", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
    ],
)
def test_without_keys_other_sites_are_refused(live: Live, host: str, origin: str | None, status: int) -> None:
    """A page in a browser on this machine may send what it likes to 127.0.0.1, by any name."""
    service = Service(live, guard=Doorkeeper(None, body=1000, in_flight=2))
    given = {"host": host, **({"origin": origin} if origin else {})}
    assert send(service, "/v1/events", CLICK, **given).status_code == status


def test_a_body_beyond_the_limit(service: Service, tokens: dict[str, str]) -> None:
    given = {"authorization": f"Bearer {tokens['read']}"}
    assert send(service, "/v1/recommend", {"history": [1] * 1000}, **given).status_code == 413
