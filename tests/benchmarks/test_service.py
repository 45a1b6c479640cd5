"""The load of the service's benchmark counts what it asked, and what was no answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.service_load import Asked, arriving, closed

CORE = min(os.sched_getaffinity(0))
GOOD: Asked = ("/v1/recommend", {"user_id": 7})


class Counting(BaseHTTPRequestHandler):
    """Answers 200, 500 for user 500, and nothing at all for user 0."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self) -> None:
        user = json.loads(self.rfile.read(int(self.headers["content-length"])))["user_id"]
        type(self).asked += 1
        if user == 0:
            self.close_connection = True
            return
        self.send_response(500 if user == 500 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    affinity = os.sched_getaffinity(0)
    Counting.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
    os.sched_setaffinity(0, affinity)


def test_every_answer_is_counted_once(port: int) -> None:
    load = closed(CORE, port, [GOOD], 3, 0.5)
    assert load.wrong == []
    assert Counting.asked - 3 <= len(load.seconds) <= Counting.asked
    assert min(load.seconds) > 0
    assert load.a_second == pytest.approx(len(load.seconds) / load.taken)


def test_what_is_no_answer_is_counted_as_wrong(port: int) -> None:
    load = closed(
        CORE, port, [GOOD, ("/v1/recommend", {"user_id": 500}), GOOD, ("/x", {"user_id": 0})], 1, 0.5
    )
    assert len(load.seconds) > 3
    assert {text[:12] for text in load.wrong} == {"HTTP/1.1 500", "the connecti"}
    assert abs(len(load.wrong) - len(load.seconds)) <= 2


def test_arrivals_by_chance_are_all_answered(port: int) -> None:
    load = arriving(CORE, port, [GOOD], 200.0, 0.5, seed=1)
    assert load.wrong == []
    assert len(load.seconds) == Counting.asked
    assert 5 <= Counting.asked <= 150  # a busy machine comes to fewer
