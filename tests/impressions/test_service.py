"""The log of a service: every worker's answers, also of one that is killed; figures in the metrics."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from funnel import Live
from funnel.impressions import Impression, answers_folder, read
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.observing import Shared
from tests.processes import python
from tests.service.conftest import get, post
from tests.service.server import Server, server, soon
from tests.tiny import TinyBuild


@pytest.fixture
def indexes(built: TinyBuild, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.indexes, tmp_path / "indexes"))


@pytest.fixture
def live(indexes: Path) -> Iterator[Live]:
    live = Live(indexes, impressions=True)
    yield live
    live.close()


def logged(store: Path) -> dict[str, Impression]:
    return {one.id: one for one in read(answers_folder(store))}


def test_what_is_answered_over_http_is_logged_and_counted(live: Live) -> None:
    service = Service(live, ServeConfig(), shared=Shared.of(1), worker=0)
    answer = post(service, "/v1/recommend", {"user_id": 7, "k": 3}).json()
    many = post(service, "/v1/recommend/many", {"user_ids": [1, 2], "k": 3}).json()["answers"]
    ranked = post(service, "/v1/rank", {"user_id": 7, "items": [3, 1]}).json()
    event = {"user_id": 7, "item_id": answer["items"][0]["item_id"], "answer": answer["id"]}
    assert post(service, "/v1/events", {"events": [event]}).status_code < 300
    assert live.recording.flush(30)
    records = logged(live.folder)
    for one in (answer, *many, ranked):
        assert [item["item_id"] for item in one["items"]] == list(records[one["id"]].shown_items)
    text = get(service, "/metrics").text
    assert "funnel_impressions_total 4.0" in text
    assert "funnel_impressions_dropped_total 0.0" in text
    assert "funnel_feedback_total 1.0" in text
    assert get(service, "/health").json()["impressions"]["recorded"] == 4


def test_a_killed_worker_leaves_what_it_wrote_and_another_goes_on(indexes: Path, tmp_path: Path) -> None:
    config = tmp_path / "shop.toml"
    config.write_text('name = "x"\n[data]\nreader = "folder"\npath = "."\n[impressions]\nlog = true\n')
    with server(indexes, "--workers", "2", "--config", str(config)) as running:
        first = answered(running, 30)
        assert soon(lambda: first <= set(logged(indexes)))
        for worker in running.workers():
            os.kill(worker, signal.SIGKILL)
        assert soon(lambda: len(running.workers()) == 2)
        second = answered(running, 30)
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(60)
    records = logged(indexes)
    assert first | second <= set(records)
    assert {one.user for one in records.values()} == {7}  # what warms a worker is nobody's


def answered(running: Server, n: int) -> set[str]:
    ids = set()
    for _ in range(n):
        status, answer = running.post("/v1/recommend", {"user_id": 7, "k": 2})
        assert status == 200
        ids.add(answer["id"])
    return ids


def test_the_command_says_what_joins(live: Live, tmp_path: Path) -> None:
    answers = [live.recommend(user, 2) for user in (1, 2)]
    item: Any = answers[0].items[0].item_id
    live.observe((1, item, None, None, None, answers[0].id), (1, item, None, None, None, answers[0].id))
    live.observe((1, item, None, None, None, "f" * 24), (2, item, None, None, None, answers[0].id), (1, item))
    live.close()
    done = python("-m", "funnel", "impressions", "--store", str(live.folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 answers with 4 items" in done.stdout
    assert "4 events name an answer, 50.0% of which came of it" in done.stdout
    for line in ("duplicates: 1", "orphans: 1", "other user: 1", "late: 0"):
        assert line in done.stdout


def test_what_a_worker_logs_last_is_counted(indexes: Path, tmp_path: Path) -> None:
    """Nobody looks between its last answers and its end: it does so itself."""
    config = tmp_path / "shop.toml"
    config.write_text('name = "x"\n[data]\nreader = "folder"\npath = "."\n[impressions]\nlog = true\n')
    with server(indexes, "--workers", "1", "--config", str(config)) as running:
        answers = [running.post("/v1/recommend", {"user_id": 7, "k": 3})[1] for _ in range(20)]
        event = {"user_id": 7, "item_id": answers[0]["items"][0]["item_id"], "answer": answers[0]["id"]}
        assert running.post("/v1/events", {"events": [event]})[0] == 200
        before = running.workers()
        os.kill(before[0], signal.SIGTERM)
        assert soon(lambda: running.workers() not in ([], before))
        connection = running.connection()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    assert "funnel_worker_starts_total 2.0" in text
    assert "funnel_impressions_total 20.0" in text
    assert "funnel_feedback_total 1.0" in text
