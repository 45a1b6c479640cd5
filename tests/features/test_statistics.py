"""Counts at a moment: exact, strictly before the request, and the same live, loaded and fitted at once."""

from __future__ import annotations

import json
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow
from funnel.compiling import compiled
from funnel.errors import BundleError, DataError
from funnel.features import Statistics
from funnel.features.counts import EventCounts
from funnel.features.observed import Observed, Recent, upto
from funnel.features.popular import Ranking
from funnel.types import Log, Ragged
from tests.features.worlds import DAY, make_log

LOG = make_log()
STATISTICS = Statistics.fit(LOG, LOG)


@compiled
def counted_upto(view: Recent, item: int, time: int) -> int:
    """From Python, what other compiled functions alone call."""
    return upto(view, item, time)


def log_of(events: list[tuple[int, int]], n_items: int = 4) -> Log:
    """(item, time) pairs, in any order."""
    pairs = np.array(events, dtype=np.int64).reshape(-1, 2)
    return Log(np.zeros(len(pairs), np.int32), pairs[:, 0].astype(np.int32), pairs[:, 1], 1, n_items)


def slow_count(log: Log, item: int, time: int, window: int | None) -> int:
    low = -np.inf if window is None else time - window
    return int(((log.items == item) & (log.times < time) & (log.times >= low)).sum())


def test_windows_are_parts_of_the_span() -> None:
    span = int(LOG.times[-1] - LOG.times[0])
    assert STATISTICS.windows == (span // 256, span // 64, span // 16, span // 4, None)
    assert STATISTICS.recent_window == span // 16
    assert STATISTICS.end == LOG.times[-1] + 1


@settings(max_examples=150, deadline=None)
@given(
    fitted=st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 0)), max_size=30),
    observed=st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 20)), max_size=40),
    time=st.integers(-22, 22),
    window=st.one_of(st.none(), st.integers(1, 30)),
)
def test_counts_are_exact_with_what_was_observed_since(
    fitted: list[tuple[int, int]], observed: list[tuple[int, int]], time: int, window: int | None
) -> None:
    statistics = Statistics.fit(log_of(fitted), log_of(fitted), windows=(5, None)).serving(6)
    end = max((at for _, at in fitted), default=-1) + 1
    assert statistics.end == end
    for part in np.array_split(np.array(observed, dtype=np.int64).reshape(-1, 2), 3):
        statistics.observe(part[:, 0], part[:, 1])
    # Moments do not fall, and at the end of what was fitted all that is new has just happened.
    last, counted = end, []
    for item, at in observed:
        last = max(last, at)
        counted.append((item, end - 1 if time == end else last))
    whole = log_of(fitted + counted, 6)
    items, times = np.arange(6, dtype=np.int32), np.full(6, time)
    assert statistics.counts(items, times, window).tolist() == [
        slow_count(whole, item, time, window) for item in range(6)
    ]
    ever_before = statistics.counts(items, times)
    assert statistics.unseen(items, times).tolist() == (ever_before == 0).tolist()
    total = statistics.events.total(np.array([time]), [window])[0, 0]
    assert total == statistics.counts(items, times, window).sum()
    for item in range(6):
        before = whole.times[(whole.items == item) & (whole.times < time)]
        assert statistics.last_seen(items, times)[item] == max(before, default=np.iinfo(np.int64).min)
        first = statistics.events.edges(items, times)[0][item]
        ever = whole.times[whole.items == item]
        assert first == min(ever) if len(before) else first >= time


@pytest.mark.parametrize("room", [1, 7, 64])
def test_of_more_events_than_there_is_room_for_the_oldest_are_in_no_window(room: int) -> None:
    """Their number stays known; a window that the ring reaches over stays exact."""
    rng = np.random.default_rng(room)
    items, times = rng.integers(0, 3, 500).astype(np.int32), np.sort(rng.integers(10, 200, 500))
    observed = Observed(3, end=10, room=room)
    for at in range(0, 500, 3):
        observed.add(items[at : at + 3], times[at : at + 3])
    events = replace(EventCounts.build(np.array([], np.int32), np.array([], np.int64), 3), observed=observed)
    events = replace(events, moments=np.array([9]))
    for time in (199, 200, 250):
        for window in (1, 5, 30, 400):
            there = np.arange(500) >= 500 - room
            inside = there & (times < time) & (times >= time - window)
            found = events.count(np.arange(3, dtype=np.int32), np.full(3, time), [window])[:, 0]
            assert found.tolist() == np.bincount(items[inside], minlength=3).tolist()
    everything = events.count(np.arange(3, dtype=np.int32), np.full(3, 10), [None])[:, 0]
    assert everything.tolist() == np.bincount(items, minlength=3).tolist()


def test_a_view_stays_what_it_is_while_events_come_in() -> None:
    observed = Observed(2, end=0)
    observed.add(np.zeros(5, np.int32), np.arange(5))
    view = observed.view()
    observed.add(np.zeros(5, np.int32), np.arange(5, 10))
    assert [counted_upto(view, 0, time) for time in (0, 3, 100)] == [0, 3, 5]
    assert counted_upto(observed.view(), 0, 100) == 10


def test_an_event_costs_the_same_memory_however_many_there_were() -> None:
    observed = Observed(1000, end=0, room=4096)
    some = np.arange(100, dtype=np.int32)
    for _ in range(50):
        observed.add(some, np.zeros(100))
    tracemalloc.start()
    for _ in range(2000):
        observed.add(some, np.zeros(100))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # What other threads and collected objects leave is some ten thousand bytes, one of each event 200,000.
    assert kept < 100_000
    assert peak < 100_000


def test_empty_positions_count_nothing() -> None:
    items = np.array([[0, -1], [-1, -1]], dtype=np.int32)
    counts = STATISTICS.counts(items, np.array([[LOG.times[-1] + 1]]))
    assert counts[0, 0] > 0
    assert counts.ravel()[1:].tolist() == [0, 0, 0]
    assert STATISTICS.unseen(items, np.array([[LOG.times[-1] + 1]])).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("clock", ["order", "none"])
def test_without_a_clock_everything_known_counts(clock: str) -> None:
    log = make_log(clock=clock)  # type: ignore[arg-type]
    statistics = Statistics.fit(log, log)
    items = np.arange(log.n_items, dtype=np.int32)
    counts = np.bincount(log.items, minlength=log.n_items)
    for time in (-5, 0, 10**9):
        np.testing.assert_array_equal(statistics.counts(items, np.full(len(items), time)), counts)
    assert statistics.windows == (None,)
    assert statistics.recent_window is None
    assert statistics.end == 0
    rows, _ = statistics.most_popular(np.zeros(1, np.int64), 5)
    assert rows[0].tolist() == np.argsort(-counts, kind="stable")[:5].tolist()
    rare = int(counts.argmin())
    statistics.observe(np.full(1000, rare), np.zeros(1000))
    assert statistics.counts(items, np.zeros(len(items)))[rare] == counts[rare] + 1000
    again, _ = statistics.most_popular(np.zeros(1, np.int64), 5)
    assert again.tolist() == rows.tolist()  # it was fitted


def slow_popular(time: int, window: int | None, barred: np.ndarray, allow: np.ndarray) -> list[int]:
    day = time // DAY * DAY
    counts = np.array([slow_count(LOG, item, day, window) for item in range(LOG.n_items)])
    order = np.argsort(-counts, kind="stable")
    return [item for item in order if counts[item] and item not in barred and allow[item]]


def test_popular_is_that_at_the_start_of_the_day() -> None:
    rng = np.random.default_rng(1)
    times = rng.integers(0, 105 * DAY, 30)
    exclude = Ragged.from_lists([rng.integers(-1, LOG.n_items, n) for n in rng.integers(0, 12, 30)])
    allow = rng.random((30, LOG.n_items)) < 0.5
    everything = np.ones(LOG.n_items, dtype=bool)
    for window in STATISTICS.windows:
        for mask in (None, allow[0], allow):
            given = None if mask is None else Allow.of(np.broadcast_to(mask, allow.shape))
            rows, scores = STATISTICS.most_popular(times, 8, window, exclude=exclude, allow=given)
            for row, time in enumerate(times):
                own = everything if mask is None else np.broadcast_to(mask, allow.shape)[row]
                expected = slow_popular(time, window, exclude[row], own)[:8]
                assert rows[row].tolist() == expected + [-1] * (8 - len(expected))
                day = time // DAY * DAY
                for item, score in zip(rows[row], scores[row], strict=True):
                    assert score == (slow_count(LOG, item, day, window) if item >= 0 else -np.inf)
    assert STATISTICS.popular(int(times[0]), 5).tolist() == slow_popular(times[0], None, [], everything)[:5]


def test_a_short_log_is_cut_in_shorter_stretches_than_days() -> None:
    log = log_of([(0, 0), (1, 600), (1, 700), (2, 6_400)])
    statistics = Statistics.fit(log, log)
    assert statistics.popular(1_000, 4).tolist() == [1, 0]


def test_what_was_observed_is_in_the_rankings_of_later_days_alone() -> None:
    statistics = Statistics.fit(LOG, LOG)
    today, later = statistics.end, statistics.end + 3 * DAY
    before = statistics.popular(today, 60)
    rare = int(before[-1])
    statistics.observe(np.full(500, rare), np.full(500, today + 10))
    assert statistics.popular(today, 60).tolist() == before.tolist()
    assert statistics.popular(later, 1).tolist() == [rare]


def test_no_call_waits_for_the_ranking_of_a_later_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rankings are counted by who computes them: the caller, or what is done later."""
    computed: list[int] = []
    usual = Ranking.of

    def counted(events: EventCounts, time: int, window: int | None) -> Ranking:
        computed.append(time)
        return usual(events, time, window)

    monkeypatch.setattr(Ranking, "of", counted)
    fitted, waiting = Statistics.fit(LOG, LOG), []
    before = fitted.popular(fitted.end, 60)
    first = list(computed)
    served = fitted.serving(LOG.n_items, waiting.append)
    served.observe(np.full(500, before[-1]), np.full(500, served.end + 10))
    tomorrow = served.end + 3 * DAY
    for time in (served.end, tomorrow, tomorrow + 5, tomorrow + DAY):
        assert served.popular(time, 60).tolist() == before.tolist()
    assert (computed, len(waiting)) == (first, 1)  # one at a time
    waiting.pop()()
    assert served.popular(tomorrow, 1).tolist() == [before[-1]]
    assert served.popular(tomorrow + DAY, 1).tolist() == [before[-1]]  # the day before stands for it
    waiting.pop()()
    assert computed == [*first, tomorrow // DAY * DAY, (tomorrow + DAY) // DAY * DAY]
    exact = fitted.serving(LOG.n_items)
    exact.observe(np.full(500, before[-1]), np.full(500, served.end + 10))
    for time in (served.end, tomorrow, tomorrow + DAY):
        assert served.popular(time, 60).tolist() == exact.popular(time, 60).tolist()


def test_a_ranking_that_fails_is_tried_again() -> None:
    fitted, waiting = Statistics.fit(LOG, LOG), []

    def no_thread(work: object) -> None:
        waiting.append(work)
        raise RuntimeError("can't start new thread")

    served = fitted.serving(LOG.n_items, no_thread)
    for n in (1, 2):
        assert served.popular(served.end + 3 * DAY, 5).tolist() == fitted.popular(fitted.end, 5).tolist()
        assert len(waiting) == n


def test_links_that_were_written_over_end_a_walk() -> None:
    """What a reader meets that was overtaken by 2^20 events: links that lead up, and round and round."""
    one = np.zeros(4, np.int64)
    for before, jump in (([3, 0, 1, 2], [3, 0, 1, 2]), ([3, 3, 3, 3], [-1, -1, -1, -1])):
        links = np.array(before), np.array(jump)
        view = Recent(np.array([4]), np.array([4], np.int32), one + 9, *links, one.astype(np.int32), 0, 4, 0)
        assert counted_upto(view, 0, 5) >= 0


def test_observing_ignores_rows_outside_the_catalogue() -> None:
    statistics = Statistics.fit(LOG, LOG)
    statistics.observe(np.array([-1, LOG.n_items, 0]), np.full(3, 10**9))
    assert statistics.events.observed.count == 1


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    cut = len(LOG) // 2
    statistics = Statistics.fit(LOG.where(np.arange(len(LOG)) < cut), LOG)
    statistics.save(tmp_path / "statistics")
    loaded = Statistics.load(tmp_path / "statistics")
    assert (loaded.clock, loaded.n_items, loaded.windows) == ("time", LOG.n_items, statistics.windows)
    assert loaded.end == statistics.end
    items = np.arange(LOG.n_items, dtype=np.int32)
    history = Ragged.from_lists([[0, 5, 3], [], [-1, 9]])
    for time in (10 * DAY, 60 * DAY, 200 * DAY):
        for window in statistics.windows:
            times = np.full(len(items), time)
            np.testing.assert_array_equal(
                loaded.counts(items, times, window), statistics.counts(items, times, window)
            )
    for name in ("covisitation", "transitions"):
        old, new = getattr(statistics, name), getattr(loaded, name)
        assert (old.decay, old.reach) == (new.decay, new.reach)
        for old_part, new_part in zip(old.top(history, 7), new.top(history, 7), strict=True):
            np.testing.assert_array_equal(old_part, new_part)


@settings(max_examples=60, deadline=None)
@given(
    fitted=st.lists(st.tuples(st.integers(0, 3), st.integers(-20, 0)), max_size=30),
    observed=st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 20)), max_size=20),
    clock=st.sampled_from(["time", "none"]),
)
def test_what_is_kept_of_the_end_is_what_a_search_finds(
    fitted: list[tuple[int, int]], observed: list[tuple[int, int]], clock: str
) -> None:
    log = replace(log_of(fitted), clock=clock)  # type: ignore[arg-type]
    searched = Statistics.fit(log, log, windows=(3, 9, None) if clock == "time" else (None,))
    with tempfile.TemporaryDirectory() as folder:
        searched.save(Path(folder))
        kept = Statistics.load(Path(folder))
        assert kept.events.at_end is not None
        assert searched.events.at_end is None
        items = np.arange(-1, 6, dtype=np.int32)
        both = [each.serving(6) for each in (searched, kept)]
        for at in range(0, len(observed), 3):
            part = np.array(observed[at : at + 3], dtype=np.int64).reshape(-1, 2)
            for statistics in both:
                statistics.observe(part[:, 0], part[:, 1])
            for time in (searched.end, searched.end - 2, searched.end + 3):
                summaries = [s.events.summary(items, np.full(7, time), s.windows) for s in both]
                for one, other in zip(*summaries, strict=True):
                    np.testing.assert_array_equal(one, other)


def test_statistics_of_an_earlier_funnel_have_nothing_of_the_end(tmp_path: Path) -> None:
    STATISTICS.save(tmp_path)
    about = json.loads((tmp_path / "statistics.json").read_text())
    del about["at_end"]
    (tmp_path / "statistics.json").write_text(json.dumps(about))
    for name in ("counts", "edges"):
        (tmp_path / f"events.end.{name}.npy").unlink()
    loaded = Statistics.load(tmp_path)
    items, times = np.arange(LOG.n_items, dtype=np.int32), np.full(LOG.n_items, STATISTICS.end)
    assert loaded.events.at_end is None
    assert loaded.counts(items, times).tolist() == STATISTICS.counts(items, times).tolist()


def test_without_an_order_there_are_no_transitions_to_load(tmp_path: Path) -> None:
    log = make_log(clock="none")
    Statistics.fit(log, log).save(tmp_path)
    assert Statistics.load(tmp_path).transitions is None


@pytest.mark.parametrize(
    "name", ["statistics.json", "events.times.npy", "events.end.counts.npy", "covisitation.weights.npy"]
)
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    STATISTICS.save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Statistics.load(tmp_path)


def test_logs_of_two_catalogues_do_not_go_together() -> None:
    with pytest.raises(DataError, match="must come from one log"):
        Statistics.fit(LOG, make_log(items=61))
    with pytest.raises(DataError, match="must come from one log"):
        Statistics.fit(LOG, make_log(clock="none"))


def test_a_log_without_events() -> None:
    log = log_of([])
    statistics = Statistics.fit(log, log)
    assert statistics.windows == (1, 1, 1, 1, None)
    assert statistics.popular(0, 3).tolist() == []
    assert statistics.covisitation.top(Ragged.from_lists([[0], []]), 2)[0].tolist() == [[-1, -1]] * 2
