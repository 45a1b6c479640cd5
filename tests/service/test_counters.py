"""Counts of several workers in one memory: exact, whoever is killed, and shown as Prometheus reads them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from funnel.service.counters import BOUNDS, OTHER, Counters, Instrument
from funnel.service.instruments import INSTRUMENTS
from funnel.service.meter import Meter
from funnel.service.metrics import Exposition
from funnel.serving.response import Answer

CLICKS = Instrument("clicks", "counter", "Clicks.")
PAGES = Instrument("pages", "counter", "Pages.", ("page", "status"), room=4)
TIMES = Instrument("times", "histogram", "Times.", ("stage",), room=4)
LEVEL = Instrument("level", "gauge", "A level.")
INFO = Instrument("info", "gauge", "A version.", ("version",))
ALL = (CLICKS, PAGES, TIMES, LEVEL, INFO)


def child(work: Callable[[], None]) -> int:
    """A forked process that does some work; it never comes back."""
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return process


def samples(counters: Counters) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = Exposition(counters).text()[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for instrument in read_text(text)
        for sample in instrument.samples
    }


def test_counts_of_forked_workers_add_up() -> None:
    counters = Counters(INSTRUMENTS, workers=4)
    answer = Answer(7, (), "v", ("fewer_than_k", "skipped:rank", "unknown_item:'secret'"), {"rank": 3.0})

    def work(worker: int) -> None:
        meter = Meter(counters.row(worker))
        for _ in range(1000 * (worker + 1)):
            meter.answers([answer, answer])
            meter.request("/v1/rank", 200, 0.002, 0)

    for process in [child(lambda worker=worker: work(worker)) for worker in range(4)]:
        assert os.waitpid(process, 0)[1] == 0
    shown = samples(counters)
    assert shown["funnel_answers_total", ()] == 20_000
    assert shown["funnel_http_requests_total", (("route", "/v1/rank"), ("status", "200"))] == 10_000
    assert shown["funnel_stage_seconds_count", (("stage", "rank"),)] == 10_000
    assert shown["funnel_stage_seconds_sum", (("stage", "rank"),)] == pytest.approx(30)
    assert shown["funnel_stage_skips_total", (("stage", "rank"),)] == 20_000
    assert shown["funnel_answer_reasons_total", (("reason", "unknown_item"),)] == 20_000
    assert not any("secret" in str(key) for key in shown)
    assert not any(name == "funnel_worker_process_id" for name, _ in shown)  # they are no more


def test_a_killed_worker_loses_nothing_and_the_next_goes_on() -> None:
    counters = Counters(ALL, workers=2)
    heard = 0
    for _ in range(5):
        reader, writer = os.pipe()

        def work(writer: int = writer) -> None:
            row = counters.row(1)
            while True:
                row.add("clicks")
                row.add("pages", "a 200")
                os.write(writer, b"x")

        process = child(work)
        os.close(writer)
        count = len(os.read(reader, 1)) + len(os.read(reader, random.Random(0).randrange(1, 5000)))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        while piece := os.read(reader, 65536):
            count += len(piece)
        os.close(reader)
        heard += count
        row = counters.row(1)
        assert heard <= row.value("clicks") <= heard + 5  # of each, one may be counted and not yet heard
        assert heard <= row.value("pages", "a 200") <= row.value("clicks")
    assert counters.row(0).value("clicks") == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcdefgh"), st.floats(0, 30)), max_size=60))
def test_every_observation_is_in_one_bin_of_its_label(observed: list[tuple[int, str, float]]) -> None:
    """Beyond the room of an instrument, under "other": the sum over all labels stays."""
    counters = Counters(ALL, workers=3)
    rows = counters.rows()
    for worker, label, seconds in observed:
        rows[worker].observe("times", seconds, label)
    shown = samples(counters)
    labels = {key[1][0][1] for key in shown if key[0] == "times_count"}
    kept = Counter(label for _, label, _ in observed if label in labels)
    total = sum(value for (name, _), value in shown.items() if name == "times_count")
    assert total == len(observed)
    for label in labels - {OTHER}:
        assert shown["times_count", (("stage", label),)] <= kept[label]
        if len({label for _, label, _ in observed}) < TIMES.room:
            assert shown["times_count", (("stage", label),)] == kept[label]
            for bound in BOUNDS:
                key = ("times_bucket", (("le", str(bound)), ("stage", label)))
                assert shown[key] == sum(1 for _, a, x in observed if a == label and x <= bound)


def test_gauges_are_of_those_that_live_and_names_change() -> None:
    counters = Counters((*ALL, *INSTRUMENTS), workers=2)
    row = counters.row(0)
    Meter(row)
    row.put("level", 3)
    counters.row(1).put("level", 9)  # of no process
    for version in ("v1", "v2-longer", "v3", "v3"):
        row.name("info", version)
    shown = samples(counters)
    assert shown["level", (("worker", "0"),)] == 3
    assert [key[1] for key in shown if key[0] == "info"] == [(("version", "v3"), ("worker", "0"))]
    assert not any(key[0] == "level" and ("worker", "1") in key[1] for key in shown)


def test_odd_labels_are_cut_and_written_as_they_must_be() -> None:
    counters = Counters(ALL, workers=1)
    row = counters.row(0)
    odd = 'a"\\\nü' + "é" * 100
    row.observe("times", 1.0, odd)
    row.observe("times", 1.0, odd)
    assert [value for key, value in samples(counters).items() if key[0] == "times_count"] == [2]


def test_it_is_the_text_that_a_scraper_asks_for() -> None:
    counters = Counters(INSTRUMENTS, workers=1)
    Meter(counters.row(0)).request("/v1/rank", 200, 0.1, 1)
    plain, plain_type = Exposition(counters).text()
    openmetrics, open_type = Exposition(counters).text("application/openmetrics-text; version=1.0.0")
    assert plain_type.startswith("text/plain")
    assert open_type.startswith("application/openmetrics-text")
    names = {instrument.name for instrument in read_openmetrics(openmetrics.decode())}
    assert (
        names
        == {instrument.name for instrument in INSTRUMENTS}
        == {f.name for f in read_text(plain.decode())}
    )


def test_names_keep_to_the_conventions() -> None:
    """prometheus.io/docs/practices/naming: base units, no type in a name; `_total` is added."""
    for instrument in INSTRUMENTS:
        assert instrument.name.startswith("funnel_")
        assert not instrument.name.endswith(("_total", "_count", "_sum", "_bucket", "_milliseconds", "_ms"))
        assert instrument.help.endswith(".")
        if instrument.kind == "histogram":
            assert instrument.name.endswith("_seconds")


def test_memory_is_gone_with_the_last_process() -> None:
    """It has no name anywhere that a kill could leave behind."""
    before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    process = child(lambda: Counters(INSTRUMENTS, workers=64).row(0).add("funnel_answers") or time.sleep(60))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    after: Any = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    assert not {name for name in after - before if "funnel" in name or name.startswith("psm_")}
