"""What a service says of itself: metrics that add up, logs without what callers sent, spans."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text

from funnel import Live, Store
from funnel.service import keys
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.instruments import INSTRUMENTS
from funnel.service.logs import log_as_json, summary
from funnel.service.observing import Shared
from tests.service.conftest import asked, get, post
from tests.service.server import server, soon
from tests.serving.test_reload import variant


def metrics(service: Any) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    reply = get(service, "/metrics")
    assert reply.status_code == 200, reply.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in read_text(reply.text)
        for sample in family.samples
    }


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Every log of the test, as JSON."""
    root = logging.getLogger()
    before, level, stream = root.handlers[:], root.level, io.StringIO()
    log_as_json(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_request_is_counted_by_its_route_and_status(live: Live) -> None:
    service = Service(live)
    for _ in range(3):
        post(service, "/v1/recommend", {"user_id": 7})
    post(service, "/v1/recommend", {"user_id": "nobody", "k": 3})
    post(service, "/v1/recommend", {"k": 0})
    post(service, "/v1/recommend/many", {"user_ids": [1, 2, 3]})
    post(service, "/v1/rank", {"user_id": 7, "items": [1, 2, "secret-item"]})
    post(service, "/v1/events", {"events": [{"user_id": 7, "item_id": 1}] * 2})
    post(service, "/v1/explain", {"user_id": 7, "item_id": 1})
    for number in range(50):
        get(service, f"/v1/nothing/{number}")
    seen = metrics(service)
    assert seen["funnel_http_requests_total", "/v1/recommend", "200"] == 4
    assert seen["funnel_http_requests_total", "/v1/recommend", "422"] == 1
    assert seen["funnel_http_requests_total", "none", "404"] == 50
    assert seen["funnel_http_requests_total", "/v1/explain", "200"] == 1
    assert seen["funnel_http_request_seconds_count", "/v1/recommend"] == 5
    assert seen["funnel_answers_total",] == 8
    assert seen["funnel_queue_seconds_count",] == seen["funnel_batches_total",] == 4
    assert seen["funnel_stage_seconds_count", "retrieve"] >= 5
    assert seen["funnel_answer_reasons_total", "unknown_user"] == 1
    assert seen["funnel_answer_reasons_total", "unknown_item"] == 1
    assert seen["funnel_events_total",] == 2
    assert seen["funnel_http_requests_in_flight", "0"] == 0
    assert not any("secret" in part or re.search(r"\d{2}/", part) for key in seen for part in key)


def test_requests_that_wait_are_one_batch(live: Live) -> None:
    async def burst(own: Any) -> None:
        await asyncio.gather(*(own.post("/v1/recommend", json={"user_id": user}) for user in range(10)))

    service = Service(live)
    asked(service, burst)
    seen = metrics(service)
    assert seen["funnel_queue_seconds_count",] == seen["funnel_answers_total",] == 10
    assert 1 <= seen["funnel_batches_total",] < 10
    assert seen["funnel_stage_seconds_count", "retrieve"] == seen["funnel_batches_total",]


def test_a_stage_that_a_deadline_leaves_out_is_counted(live: Live) -> None:
    service = Service(live)
    for _ in range(50):
        reply = post(service, "/v1/recommend", {"user_id": 7, "deadline": 0.0})
    skipped = [code for code in reply.json()["reasons"] if code.startswith("skipped:")]
    assert skipped
    seen = metrics(service)
    for code in skipped:
        stage = code.removeprefix("skipped:")
        assert seen["funnel_stage_skips_total", stage] == seen["funnel_answer_reasons_total", code] > 0


def test_what_is_known_of_the_bundle_and_of_reloads(live: Live) -> None:
    service = Service(live)
    before = live.version
    assert metrics(service)["funnel_bundle_info", before, "0"] == 1
    store = Store(live.folder)
    newer = variant(store, lambda folder: (folder / "more.txt").write_text("more") and None, name="again")
    store.publish(newer)
    live.refresh()
    seen = metrics(service)
    assert seen["funnel_bundle_info", newer, "0"] == 1
    assert ("funnel_bundle_info", before, "0") not in seen
    assert seen["funnel_reloads_total",] == 1
    assert seen["funnel_bundle_refused", "0"] == 0
    assert seen["funnel_bundle_created_timestamp_seconds", "0"] > 1.7e9


def test_every_metric_is_there_from_the_start(live: Live) -> None:
    reply = get(Service(live), "/metrics").text
    for instrument in INSTRUMENTS:
        assert f"# TYPE {instrument.name}" in reply


def test_a_state_that_cannot_be_looked_at_hides_no_counts(
    live: Live, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    service = Service(live)
    post(service, "/v1/recommend", {"user_id": 7})

    def broken() -> Any:
        raise OSError("the disk is gone")

    monkeypatch.setattr(live, "health", broken)
    assert metrics(service)["funnel_answers_total",] == 1
    assert metrics(Service(live))["funnel_answers_total",] == 0
    assert "the disk is gone" in logged.getvalue()


def test_what_reads_is_not_waited_for_for_ever(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(live, "explain", lambda *_, **__: release.wait(60) and {})
    reply = post(Service(live, ServeConfig(seconds=0.05)), "/v1/explain", {"user_id": 7, "item_id": 1})
    release.set()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "longer than 0.05 seconds" in reply.text


def test_a_restarted_worker_goes_on_with_its_row(live: Live) -> None:
    shared = Shared.of(2)
    for _ in range(3):
        post(Service(live, shared=shared, worker=1), "/v1/recommend", {"user_id": 7})
    other = Service(live, shared=shared, worker=0)
    post(other, "/v1/recommend", {"user_id": 7})
    seen = metrics(other)
    assert seen["funnel_answers_total",] == 4
    assert seen["funnel_worker_starts_total",] == 4


def test_a_slow_request_is_logged_by_its_form(live: Live, logged: io.StringIO) -> None:
    service = Service(live, ServeConfig(slow=1e-9))
    body = {"user_id": "anna@example.org", "k": 5, "history": [918273645546], "where": {"genres": "Comedy"}}
    reply = post(service, "/v1/recommend", body, x_request_id="trace-7")
    assert reply.headers["x-request-id"] == "trace-7"
    (slow,) = [line for line in lines(logged) if line["message"] == "a slow request"]
    assert (slow["request"], slow["route"], slow["status"]) == ("trace-7", "/v1/recommend", 200)
    assert slow["body"]["fields"] == {"user_id": "str", "k": 5, "history": 1, "where": 1}
    for personal in ("anna", "918273645546", "Comedy"):
        assert personal not in logged.getvalue().replace(slow["time"], "")


def test_names_that_are_no_fields_and_ids_of_paths_are_not_logged(
    live: Live, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(live, ServeConfig(slow=1e-9))
    assert post(service, "/v1/events", {"anna@example.org": [5], "events": []}).status_code == 422
    (slow,) = [line for line in lines(logged) if line["message"] == "a slow request"]
    assert (slow["body"]["fields"], slow["body"]["unknown"]) == ({"events": 0}, 1)

    def broken(_: Any) -> Any:
        raise RuntimeError("on fire")

    monkeypatch.setattr(live, "history", broken)
    assert get(service, "/v1/users/anna@example.org/history").status_code == 500
    own = [line for line in lines(logged) if line["logger"].startswith("funnel")]  # beside the client's
    assert "GET /v1/users/{user_id:path}/history failed" in {line["message"] for line in own}
    assert "anna" not in json.dumps(own)


def test_a_fast_request_is_not(live: Live, logged: io.StringIO) -> None:
    post(Service(live, ServeConfig(slow=3600)), "/v1/recommend", {"user_id": 7})
    assert [line for line in lines(logged) if line["logger"].startswith("funnel")] == []


def test_what_fails_is_in_the_log_with_its_request_and_not_in_the_answer(
    live: Live, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the disk of /secret/place is on fire")

    monkeypatch.setattr(live, "recommend", broken)
    reply = post(Service(live), "/v1/recommend", {"user_id": 7})
    assert reply.status_code == 500
    assert "secret" not in reply.text
    (line,) = [line for line in lines(logged) if line["level"] == "error"]
    assert line["request"] == reply.headers["x-request-id"]
    assert "on fire" in line["exception"]


@pytest.mark.parametrize("given", ["", "a" * 129, 'a"b', "a b", "ü"])
def test_an_id_that_is_none_gets_another(live: Live, given: str) -> None:
    reply = post(Service(live), "/v1/recommend", {"user_id": 7}, x_request_id=given.encode())
    assert re.fullmatch(r"[0-9a-f]{16}", reply.headers["x-request-id"])


def test_a_digest_tells_equal_requests_and_nothing_else() -> None:
    bodies = [json.dumps({"user_id": user}).encode() for user in range(100)]
    digests = [summary(body, b"secret")["digest"] for body in bodies]
    assert len(set(digests)) == 100
    assert digests == [summary(body, b"secret")["digest"] for body in bodies]
    assert not set(digests) & {summary(body, b"another")["digest"] for body in bodies}
    assert summary(b"\xff{", b"secret")["bytes"] == 2


def test_a_slow_body_may_be_nested_as_deep_as_anybody_likes(live: Live, logged: io.StringIO) -> None:
    reply = post(Service(live, ServeConfig(slow=1e-9)), "/v1/recommend", b'{"user_id":' + b"[" * 50_000)
    assert reply.status_code == 400
    (slow,) = [line for line in lines(logged) if line["message"] == "a slow request"]
    assert slow["body"]["bytes"] == 50_011
    assert "fields" not in slow["body"]


def test_events_that_a_key_was_given_before_are_not_counted_again(live: Live) -> None:
    service = Service(live)
    given = {"user_id": 7, "item_id": 1}
    events = [{**given, "answer": "a1"}, given, {**given, "kind": "impression"}]
    for _ in range(3):
        reply = post(service, "/v1/events", {"events": events}, idempotency_key="once")
        assert reply.json() == {"accepted": 3}
    seen = metrics(service)
    assert (seen["funnel_events_total",], seen["funnel_feedback_total",]) == (3, 1)
    assert live.health()["impressions"]["feedback"] == 1


def test_spans_are_made_where_opentelemetry_is_set_up(live: Live) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import set_tracer_provider

    exporter, provider = InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    set_tracer_provider(provider)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    post(Service(live), "/v1/recommend", {"user_id": 7}, traceparent=parent)
    (span,) = exporter.get_finished_spans()
    assert span.name == "POST /v1/recommend"
    assert format(span.context.trace_id, "032x") == parent.split("-")[1]
    assert span.attributes["http.response.status_code"] == 200
    assert "user_id" not in str(span.attributes)


def ask(port: int, path: str, token: str, body: Any = None) -> str:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read().decode()


def test_workers_of_a_real_service_count_together_and_a_killed_one_is_counted_on(
    indexes: Path, tmp_path: Path
) -> None:
    """With keys, over sockets: what was answered is counted, in whatever worker, before and after a kill."""
    token = keys.add(tmp_path / "keys.json", "test", "read")
    with server(indexes, "--workers", "2", "--keys", str(tmp_path / "keys.json")) as running:
        assert running.post("/v1/recommend", {"user_id": 7})[0] == 401
        for round_ in (1, 2):
            for _ in range(100):
                ask(running.port, "/v1/recommend", token, {"user_id": 7})
            text = ask(running.port, "/metrics", token)
            assert f"funnel_answers_total {100.0 * round_}" in text
            assert 'funnel_http_requests_total{route="/v1/recommend",status="401"} 1.0' in text
            before = running.workers()
            os.kill(before[0], signal.SIGKILL)
            assert soon(lambda before=before: len(running.workers()) == 2 and running.workers() != before)
        assert soon(lambda: "funnel_worker_starts_total 4.0" in ask(running.port, "/metrics", token))
