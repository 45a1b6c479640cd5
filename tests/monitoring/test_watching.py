"""A `Live` is watched by what it answers and logs: what is wrong in memory, in the log, on the way of
events."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from funnel import Live, SqliteLog
from funnel.artifacts import Store
from funnel.cli import app
from funnel.errors import BundleError
from funnel.impressions import answers_folder, read
from funnel.monitoring import reading, thread
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Rate
from funnel.monitoring.files import ALARMS, MEMORY, monitor_folder
from funnel.monitoring.offline import replayed
from funnel.monitoring.reference import SecondOverlay
from funnel.monitoring.remaking import remake, requests_of
from funnel.monitoring.thread import HEALTH, Monitoring
from funnel.monitoring.watching import Watch
from funnel.serving import recording
from funnel.serving.state import Event
from funnel.types import EventKinds
from tests.serving.test_reload import settings, variant

QUICK = MonitorConfig(golden=50, settle=0.0, least=20)


class Seen:
    """A watch, and all that it counted."""

    def __init__(self, live: Live, config: MonitorConfig = QUICK) -> None:
        self.live, self.watch, self.counts = live, Watch(live, config), Counts()
        self.watch.counted = self.counts.add
        self.now = time.time()
        self.look()

    def look(self, times: int = 1) -> list[str]:
        """Keys of what was told."""
        self.live.recording.flush()
        told = []
        for _ in range(times):
            self.now += 60
            told += [alarm.key for alarm in self.watch.look(self.now)]
        return told

    def rate(self, kind: str, subject: str = "") -> list[float]:
        found = self.counts.rates.get(Rate(kind, subject))
        return [] if found is None else found.tolist()


@pytest.fixture
def seen(live: Live) -> Seen:
    return Seen(live)


def ask(live: Live, users: range = range(1, 41)) -> list[Any]:
    return live.recommend_many(list(users), 5)


def test_what_is_well_is_not_told_of(seen: Seen) -> None:
    answers = ask(seen.live)
    for answer in answers[:20]:
        seen.live.observe((answer.user_id, answer.items[0].item_id, None, None, None, answer.id))
    assert seen.look(3) == []
    assert seen.counts.answers == 40
    assert seen.rate("join") == [20, 40]
    assert seen.rate("empty") == [0, 40]
    assert seen.rate("unknown") == [0, 40]
    assert seen.rate("source", "towers") == [0, 40]


def test_changes_of_items_are_explained_and_what_nobody_changed_is_not(seen: Seen) -> None:
    live, frame = seen.live, pd.DataFrame({"item_id": [9001, 9002], "genres": [["Drama"], ["Comedy"]]})
    frame["title"], frame["year"] = ["One", "Two"], [2001.0, 2002.0]
    live.items.upsert(frame)
    live.items.delete(live.contents.catalogue.ids.values[:30].tolist())
    assert seen.look(3) == []
    live.overlay.vectors[:] = live.overlay.vectors[::-1].copy()
    assert "golden served" in seen.look(2)


def test_an_index_that_was_built_anew_is_no_alarm(seen: Seen) -> None:
    seen.live.items.delete(seen.live.contents.catalogue.ids.values[:20].tolist())
    seen.live.items.compact()
    seen.live.items.delete(seen.live.contents.catalogue.ids.values[20:25].tolist())
    assert seen.look(3) == []


def test_a_ranker_that_gives_other_scores_is_told_of(seen: Seen) -> None:
    """It is the bundle's own, in memory: the lists of the build do not come out again."""
    ranker: Any = seen.live.contents.ranker
    ranker.predict_lists = lambda matrix, lengths, threads=1: np.zeros(matrix.shape[:2])
    told = seen.look(2)
    assert "golden build" in told


def test_answers_come_out_again_to_the_last_bit_also_after_events_and_changes(seen: Seen) -> None:
    live = seen.live
    for round_ in range(3):
        answers = ask(live, range(1, 15))
        live.observe(*((a.user_id, a.items[round_].item_id, None, None, None, a.id) for a in answers))
        live.recommend(f"nobody {round_}", 4, where={"genres": "Drama"}, exclude=[1, 2])
        live.recommend(3, 10, history=[5, 6], deadline=10_000)
    live.items.patch([3, 4], {"year": [1990.0, 1991.0]})
    live.items.delete([5])
    ask(live, range(20, 30))
    live.recording.flush()
    impressions = list(read(answers_folder(live.folder)))
    reference = SecondOverlay(live.overlay.bundle, live.state)
    remade = remake(reference, impressions)
    last = [one for one in remade if one.impression.time >= impressions[-10].time]
    assert len(remade) == len(impressions) == 58
    assert all(one.equal for one in last)
    assert len(last) == 10
    before = [one.equal for one in remade if one not in last]
    assert not any(equal is False for equal in before)  # items changed behind them: nobody can tell


@pytest.mark.parametrize(
    "damage",
    [
        {"history_times": [5]}, {"history_times": [10**30] * 2}, {"history_times": ["x", 1]},
        {"history": [5]}, {"history": None}, {"history_kinds": [0, 0]}, {"history_kinds": [-1]},
        {"history_kinds": [300, 1]},
    ],
)  # fmt: skip
def test_a_logged_request_whose_events_do_not_fit_together_is_not_made_again(
    seen: Seen, damage: dict[str, Any]
) -> None:
    """Compiled code would read behind the shorter list."""
    seen.live.recommend(3, 4, history=[5, 6])
    seen.live.recording.flush()
    (impression,) = read(answers_folder(seen.live.folder))
    reference = SecondOverlay(seen.live.overlay.bundle, seen.live.state)
    assert len(remake(reference, [impression])) == 1
    assert impression.request is not None
    damaged = replace(impression, request={**impression.request, **damage})
    assert remake(reference, [damaged]) == []


def test_kinds_of_events_go_by_their_names_where_another_bundle_answers(seen: Seen) -> None:
    """The log has their codes, which are those of the bundle that answered."""
    seen.live.recommend(3, 4, history=[5, 6, 7])
    seen.live.recording.flush()
    (impression,) = read(answers_folder(seen.live.folder))
    assert impression.request is not None
    logged = replace(impression, request={**impression.request, "history_kinds": [0, 1, -1]})
    theirs = replace(seen.live.contents, kinds=EventKinds.alike(("click", "like")))
    ours = replace(theirs, kinds=EventKinds.alike(("buy", "click")))
    kinds = [requests_of(contents, logged, theirs).history_kinds for contents in (theirs, ours)]
    assert [of.values.tolist() for of in kinds if of is not None] == [[0, 1, -1], [1, -1, -1]]
    assert requests_of(seen.live.contents, logged, theirs).history_kinds is None


def test_an_answer_that_was_given_otherwise_is_found(seen: Seen) -> None:
    """By one bit of one score, in the log."""
    ask(seen.live, range(1, 13))
    seen.live.recording.flush()
    for path in answers_folder(seen.live.folder).glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            first, *rest = line["shown"]
            line["shown"] = [*rest, first]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "replay" in seen.look()


def test_events_that_the_log_drops_before_they_are_read_are_no_difference(seen: Seen) -> None:
    """It keeps some hundreds a user; what is served has counted twelve hundred."""
    live, of = seen.live, seen.watch._of
    assert of is not None
    items = live.contents.catalogue.ids.values.tolist()
    for begin in range(0, 1200, 100):
        live.observe(*((1, items[(begin + n) % len(items)]) for n in range(100)))
        live.recommend(2, 5)
    for _ in range(3):
        ask(live)
    assert seen.look(2) == []
    assert not of.exact
    assert not of.reference.counts_as(live.overlay)


def test_histories_that_stand_still_are_told_of(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    live = seen.live
    follower: Any = live._parts.follower
    follower.follow = lambda: follower.overlay
    for answer in ask(live):
        live.observe((answer.user_id, answer.items[0].item_id, None, None, None, answer.id))
    assert seen.look() == []
    monkeypatch.setattr(recording, "time", SimpleNamespace(time=lambda: seen.now + 120))
    seen.now += 120
    ask(live, range(1, 101))
    assert "stale" in seen.look(2)


def test_one_process_reads_the_log_and_each_asks_golden_answers(seen: Seen, indexes: Path) -> None:
    other = Live(indexes, impressions=False)
    second = Seen(other)
    ask(seen.live)
    seen.look()
    second.look()
    assert seen.counts.answers == 40
    assert second.counts.answers == 0
    other.overlay.vectors[:] = other.overlay.vectors[::-1].copy()
    assert "golden served" in second.look(2)
    assert seen.look(2) == []
    seen.watch.close()
    second.look()
    ask(seen.live)
    seen.live.recording.flush()
    second.look()
    assert second.counts.answers == 40
    other.close()


def test_what_is_wrong_is_in_a_file_and_what_was_learned_is_kept(seen: Seen) -> None:
    folder = monitor_folder(seen.live.folder)
    seen.live.overlay.vectors[:] = 0
    seen.look(2)
    raw = json.loads((folder / ALARMS).read_text())
    assert [alarm["key"] for alarm in raw["alarms"]] == ["golden served"]
    assert raw["alarms"][0]["look"]
    assert raw["version"] == seen.live.version
    seen.watch.close()
    assert "golden served" in Watch(seen.live, QUICK).monitor.open
    (folder / MEMORY).write_text("{")
    with pytest.raises(Exception, match=r"memory\.json"):
        Watch(seen.live, QUICK)


@pytest.mark.parametrize(("hours", "told"), [(1, []), (-1, ["clock monitor"])])
def test_a_clock_that_jumps_makes_no_answer_one_without_feedback(
    hours: int, told: list[str], live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited for its feedback then is not counted; what is answered afterwards is."""
    seen = Seen(live, MonitorConfig(golden=0, settle=120.0, least=20))
    monkeypatch.setattr(recording, "time", SimpleNamespace(time=lambda: seen.now))
    ask(live)
    assert seen.look() == []
    ask(live)
    live.recording.flush()
    seen.now += 3600 * hours
    assert seen.look() == told
    assert seen.look(5) == []
    assert seen.rate("join") == []
    assert seen.rate("clock") == []
    ask(live)
    assert seen.look(4) == []
    assert seen.rate("join") == [40, 40]


def test_feedback_that_is_waited_for_long_is_counted_of_a_part_of_the_answers(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More answers come within the time than are kept waiting."""
    monkeypatch.setattr(reading, "WAITING", 50)
    seen = Seen(live, QUICK.model_copy(update={"settle": 300.0, "golden": 0}))
    monkeypatch.setattr(recording, "time", SimpleNamespace(time=lambda: seen.now + 30))
    for minute in range(9):
        for answer in ask(live, range(1, 21)) if minute < 8 else ():
            live.observe((answer.user_id, answer.items[0].item_id, int(seen.now) + 35, None, None, answer.id))
        assert seen.look() == []
    happened, n = seen.rate("join")
    assert happened == 0
    assert 20 <= n < 80


def test_events_of_data_without_a_clock_say_nothing_of_clocks(seen: Seen) -> None:
    """The state has no time of them."""
    answers = ask(seen.live)
    events = [Event(str(one.user_id), str(one.items[0].item_id), 0, None, None, one.id) for one in answers]
    seen.live.state.observe(events)
    assert seen.look(3) == []
    assert seen.rate("join") == [0, 40]
    assert seen.rate("clock") == []


def test_a_process_that_does_not_read_the_log_misses_no_traffic(live: Live) -> None:
    now, busy = 1_790_000_000.0, Counts()
    busy.answers, busy.seconds = 36_000, 3600.0
    usual = Watch(live, MonitorConfig(golden=0))
    for hour in range(int(now) // 3600 - 26, int(now) // 3600):
        usual.monitor.memory.keep(hour, busy)
    usual.monitor.save(monitor_folder(live.folder) / MEMORY)
    reads, other = Watch(live, MonitorConfig(golden=0)), Watch(live, MonitorConfig(golden=0))
    assert reads.look(now) == []
    told = [alarm.key for minute in range(1, 30) for alarm in other.look(now + 60 * minute)]
    assert told == []
    told = [alarm.key for minute in range(1, 30) for alarm in reads.look(now + 60 * minute)]
    assert told == ["traffic"]  # nobody asks
    reads.close()
    assert [alarm.key for minute in range(31, 60) for alarm in other.look(now + 60 * minute)] == []
    assert "traffic" in other.monitor.open  # which it reads on from there


@pytest.mark.parametrize(("ranker", "told"), [(True, []), (False, ["golden build"])])
def test_another_bundle_is_watched_from_the_look_on_that_finds_it(
    seen: Seen, ranker: bool, told: list[str]
) -> None:
    """One whose lists are not those that were kept when it was built is told of."""
    store = Store(seen.live.folder)
    store.publish(variant(store, settings(use_ranker=ranker)))
    assert seen.live.refresh()
    ask(seen.live)
    assert seen.look(2) == told
    assert seen.counts.answers == 40


def test_a_state_that_cannot_be_read_is_an_error_and_not_the_end(live: Live) -> None:
    """The thread goes on; `health` says what is wrong."""
    monitoring = Monitoring(live, QUICK.model_copy(update={"every": 1.0}))
    wait_for(lambda: live.health()[HEALTH]["looks"] >= 1)
    state: Any = live.state
    changes = state.changes_after

    def broken(number: int) -> Any:
        raise BundleError("the disk is gone")

    state.changes_after = broken
    wait_for(lambda: "the disk is gone" in live.health()[HEALTH]["error"])
    state.changes_after = changes
    wait_for(lambda: live.health()[HEALTH]["error"] == "")
    monitoring.stop()


def test_a_state_that_cannot_be_read_is_told_of_while_it_cannot(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not need it is looked at, and what came of answers is counted when it is back."""
    live = seen.live
    for answer in ask(live)[:20]:
        live.observe((answer.user_id, answer.items[0].item_id, None, None, None, answer.id))

    def away(*_: Any) -> Any:
        raise BundleError("the disk is gone")

    with monkeypatch.context() as state:
        for name in ("position", "changes_after", "events_after", "events_of_each"):
            state.setattr(live.state, name, away)
        assert all("state_unreadable" in answer.reasons for answer in ask(live))
        for _ in range(2):
            with pytest.raises(BundleError, match="the disk is gone"):
                seen.look()
        told = json.loads((monitor_folder(live.folder) / ALARMS).read_text())
        assert [alarm["key"] for alarm in told["alarms"]] == ["state"]
        assert seen.rate("state") == [40, 80]
        assert seen.rate("join") == []
    assert seen.look() == []
    assert seen.rate("join") == [60, 80]


def test_a_log_of_events_that_takes_another_s_place_is_read_from_its_beginning(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places in the one before say nothing of it: neither that answers are behind, nor what came of them."""
    live = seen.live
    monkeypatch.setattr(recording, "time", SimpleNamespace(time=lambda: seen.now + 30))
    items = live.contents.catalogue.ids.values.tolist()
    live.observe(*((1 + n % 40, items[n % len(items)]) for n in range(500)))
    assert seen.look() == []
    for path in (live.folder / "live").glob("state.sqlite*"):
        path.unlink()
    for _ in range(3):
        for answer in ask(live):
            live.observe((answer.user_id, answer.items[0].item_id, int(seen.now) + 35, None, None, answer.id))
        assert seen.look() == []
    assert seen.rate("join") == [0, 120]
    assert seen.rate("stale") == [0, 80]  # of the first look nobody can say


def test_the_command_watches_on_when_the_state_is_back_and_keeps_what_it_learned(
    indexes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = QUICK.model_copy(update={"every": 0.1, "golden": 1})
    monkeypatch.setattr(thread, "config_of", lambda live: quick)
    kept, position, ended = monitor_folder(indexes), SqliteLog.position, threading.Event()
    looked: list[float] = []

    def away(state: SqliteLog) -> Any:
        raise BundleError("the disk is gone")

    def at() -> float:
        return json.loads((kept / ALARMS).read_text())["at"] if (kept / ALARMS).exists() else 0.0

    def outage() -> None:
        wait_for(lambda: at() or ended.is_set())
        monkeypatch.setattr(SqliteLog, "position", away)
        time.sleep(0.3)
        monkeypatch.setattr(SqliteLog, "position", position)
        back = time.time()
        wait_for(lambda: at() > back or ended.is_set())
        if not ended.is_set():
            looked.append(at())
            (kept / MEMORY).unlink()
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    other = threading.Thread(target=outage)
    other.start()
    done = CliRunner().invoke(app, ["monitor", "--watch", "--store", str(indexes)])
    ended.set()
    other.join()
    signal.signal(signal.SIGTERM, before)
    assert (done.exit_code, len(looked)) == (0, 1)
    assert (kept / MEMORY).exists()


def test_the_thread_tells_of_alarms_in_health_and_ends(live: Live) -> None:
    monitoring = Monitoring(live, QUICK.model_copy(update={"every": 1.0}))
    live.overlay.vectors[:] = 0
    wait_for(lambda: live.health()[HEALTH]["alarms"] != [])
    (alarm,) = live.health()[HEALTH]["alarms"]
    assert alarm["key"] == "golden served"
    monitoring.stop()
    looks = live.health()[HEALTH]["looks"]
    time.sleep(1.5)
    assert live.health()[HEALTH]["looks"] == looks
    assert (monitor_folder(live.folder) / MEMORY).exists()


def test_a_monitor_that_is_off_does_not_look(live: Live) -> None:
    monitoring = Monitoring(live, MonitorConfig(on=False))
    assert live.health()[HEALTH] == {"looks": 0, "error": "it is off", "alarms": []}
    monitoring.stop()


def test_answers_are_made_again_by_another_process(live: Live, indexes: Path) -> None:
    ask(live, range(1, 9))
    live.close()
    result = replayed(indexes, 1.0)
    assert (result.same, result.different, result.unknown, result.gone) == (8, 0, 0, 0)
    for path in answers_folder(indexes).glob("*.jsonl"):
        path.write_text(path.read_text().replace(live.version, "movies-gone"))
    assert replayed(indexes, 1.0).gone == 8


def test_answers_that_go_by_events_that_were_dropped_are_not_called_different(
    live: Live, indexes: Path
) -> None:
    """Of each user the state keeps the newest: what was popular by the others is not known any more."""
    now = int(time.time())
    live.observe((7, 50, now, None))
    live.refresh()
    for item in range(1, 11):
        live.observe(*((8, item, now, None) for _ in range(95)))
        live.refresh()
    ask(live, range(1, 9))
    live.observe(*((8, 60, now, None) for _ in range(500)))
    assert len(live.state.events_of("8", 2_000)) < 950
    live.close()
    result = replayed(indexes, 1.0)
    assert (result.same, result.different, result.unknown) == (0, 0, 8)


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_the_files_are_this_process_s_own(seen: Seen) -> None:
    ask(seen.live)
    seen.look()
    assert json.loads((monitor_folder(seen.live.folder) / ALARMS).read_text())["process"] == os.getpid()


def test_of_many_answers_a_part_is_counted_and_none_is_missed_in_the_traffic(live: Live) -> None:
    seen = Seen(live, QUICK.model_copy(update={"answers": 100}))
    for _ in range(7):
        ask(live)
    seen.look()
    assert seen.counts.answers == 280
    assert seen.rate("empty") == [0, 94]


def test_lines_that_are_torn_or_damaged_are_left_out_and_counted(seen: Seen) -> None:
    ask(seen.live)
    seen.live.recording.flush()
    (path,) = answers_folder(seen.live.folder).glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(b"{\n" + whole + b'{"id": "torn')
    seen.look()
    assert seen.counts.answers == 40
    assert seen.watch._tail.damaged == 1
