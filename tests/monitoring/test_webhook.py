"""Alarms are sent to a real server that is slow, fails, or is gone; nobody waits for it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.webhook import WAITING, Webhook, sender

ALARM = Alarm(
    "empty", "", 1.0, 2.0, 1e-7, "answers without an item: 30.0%, at most 3.0% is right", "place=home"
)


class Server:
    """Answers with the next status; what came is kept. wait: seconds before each answer."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.came: list[Any] = []
        self.wait = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                time.sleep(outer.wait)
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_an_alarm_arrives_with_all_that_is_known(server: Server) -> None:
    hook = Webhook(server.url, 5.0, 3)
    hook.send(ALARM)
    wait_for(lambda: hook.sent == 1)
    (came,) = server.came
    assert came["key"] == "empty place=home"
    assert came["look"]
    assert came["chance"] == 1e-7
    assert Alarm.from_dict(came) == ALARM


def test_a_server_that_fails_is_asked_again_and_then_given_up(server: Server) -> None:
    hook = Webhook(server.url, 5.0, 3, pause=0.01)
    server.statuses = [500, 429, 200, 503, 503, 503]
    hook.send(ALARM)
    wait_for(lambda: hook.sent == 1)
    assert len(server.came) == 3
    hook.send(ALARM)
    wait_for(lambda: hook.dropped == 1)
    assert len(server.came) == 6


def test_what_the_server_does_not_want_is_not_sent_again(server: Server) -> None:
    hook = Webhook(server.url, 5.0, 5, pause=0.01)
    server.statuses = [404]
    hook.send(ALARM)
    wait_for(lambda: hook.dropped == 1)
    assert len(server.came) == 1


def test_nobody_waits_for_a_server_that_does_not_answer(server: Server) -> None:
    """What waits is bounded: beyond it alarms are dropped, and counted."""
    server.wait = 30.0
    hook = Webhook(server.url, 0.2, 1)
    threads = threading.active_count()
    for _ in range(WAITING + 50):
        hook.send(ALARM)
    assert hook.dropped >= 40
    assert threading.active_count() <= threads + 2  # one that sends, one of the server


def test_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "s3cr3t")
    hook = Webhook("http://127.0.0.1:1/hook?token=${HOOK_TOKEN}", 0.2, 1)
    with caplog.at_level(logging.ERROR):
        hook.send(ALARM)
        wait_for(lambda: hook.dropped == 1)
    assert "empty place=home" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_it_ends_with_what_it_is_sending(server: Server) -> None:
    hook = Webhook(server.url, 5.0, 1)
    hook.send(ALARM)
    hook.close(10.0)
    assert len(server.came) == 1


def test_a_variable_that_is_not_set_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert sender("http://host/${NOT_SET_ANYWHERE}", 1.0, 1) is None
    assert "NOT_SET_ANYWHERE" in caplog.text
    assert sender("", 1.0, 1) is None


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "host/x", "http://me:secret@host/x", "https://host/?token=abc"]
)
def test_urls_that_cannot_be_meant_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"monitor\.webhook|http://"):
        MonitorConfig(webhook=url)
