"""Two services with one state between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from funnel.artifacts import Store
from funnel.errors import ConfigError, DataError
from funnel.service.config import ServeConfig
from funnel.serving.state import open_state
from tests.servers import Server, postgres_server, redis_server
from tests.service.server import server, soon

pytest.importorskip("starlette", reason="the extra serve is not installed")


@pytest.fixture(params=["redis", "postgres"])
def own(request: pytest.FixtureRequest) -> Iterator[Server]:
    with (redis_server if request.param == "redis" else postgres_server)() as started:
        yield started


def test_a_click_on_one_is_in_the_next_answer_of_the_other(
    store: Store, own: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = own.url.rpartition("@")[0].rpartition(":")[2]
    monkeypatch.setenv("STATE_PASSWORD", secret.replace("%2F", "/").replace("%3A", ":"))
    hidden = own.url.replace(secret, "${STATE_PASSWORD}")
    with (
        server(store.folder, "--state", hidden, "--workers", "2") as one,
        server(store.folder, "--state", hidden) as other,
    ):
        for number in range(20):
            click = {"events": [{"user_id": "new", "item_id": 1 + number}]}
            for _ in range(2):  # said again, as after an answer that was lost
                told = one.post("/v1/events", click, Idempotency_Key=f"click {number}")
                assert told[0] in (200, 202), told
                one, other = other, one
            status, answer = one.post("/v1/recommend", {"user_id": "new", "k": 100})
            assert status == 200
            assert 1 + number not in [item["item_id"] for item in answer["items"]]
        log = open_state(own.url)
        assert [event.item_id for event in log.events_of("new", 99)] == [str(n) for n in range(1, 21)]
        own.kill()
        for service in (one, other):
            status, answer = service.post("/v1/recommend", {"user_id": "new", "k": 5})
            assert (status, len(answer["items"])) == (200, 5)
            assert "state_unreadable" in answer["reasons"]
            status, problem = service.post("/v1/events", {"events": [{"user_id": "new", "item_id": 50}]})
            assert status >= 500
            assert secret not in json.dumps(problem)
        own.start()
        assert soon(
            lambda: "state_unreadable" not in other.post("/v1/recommend", {"user_id": "new"})[1]["reasons"]
        )
        assert len(open_state(own.url).events_of("new", 99)) == 20


def test_a_password_stands_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from funnel import config as configs

    for password in ("s3same", "a?s3same", "a@s3same", "a s3same", "a's3same"):
        with pytest.raises(ConfigError, match="FUNNEL_STATE_PASSWORD") as error:
            configs.configure("shop", serve={"state": f"redis://:{password}@h/0"})
        assert "s3same" not in str(error.value)
    assert ServeConfig(state="redis://:${X}@h/0").state == "redis://:${X}@h/0"
    monkeypatch.delenv("X", raising=False)
    with pytest.raises(DataError, match="variable X, which is not set"):
        open_state("redis://:${X}@h/0")


def test_a_path_is_one_too(store: Store, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "state.sqlite"
    with server(store.folder, "--state", str(place)) as one:
        told = one.post("/v1/events", {"events": [{"user_id": "new", "item_id": 1}]})
        assert told[0] in (200, 202)
    assert open_state(place).events_of("new", 9)[0].item_id == "1"
