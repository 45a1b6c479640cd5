"""An experiment of a real store: its log and its state are read, and the nightly run and the command act."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from funnel.artifacts import Store
from funnel.cli import app
from funnel.errors import ConfigError, DataError
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.history import HISTORY
from funnel.experiments.running import RUNNING, running, start, stop
from funnel.gates import GatesConfig
from funnel.gates.winner import publish_winner
from funnel.impressions import answers_folder, read
from funnel.impressions.compact import remove_before
from funnel.impressions.sweep import Retention, sweep
from funnel.pipeline.run.experiments import settle
from funnel.serving.evidence import judged
from funnel.serving.state import Event, open_state
from tests.experiments.stores import halves, two_bundles
from tests.impressions.records import impression, write_log
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild

DAY, DAYS = 86_400, 6
ARMS = {"control": 0.5, "treated": 0.5}

#: What gates cannot be asked of two bundles this small.
LENIENT = GatesConfig(stage_fall=1.0, slice_fall=1.0, popularity_rise=1.0, reachable_fall=1.0,
                      baseline_fall=1.0, latency_ms=1e4, similarity=1.0, visible_fall=1.0,
                      parity=0.0)  # fmt: skip


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def begun(store: Store, days_ago: float = DAYS + 0.5, **more: Any) -> str:
    """An experiment of the published bundle against another, which began some days ago; the other."""
    other = without_ranker(store)
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": other}}
    start(store, "new", ExperimentConfig.model_validate({"arms": arms, "days": DAYS, **more}))
    at = running(store.folder).experiments["new"].at
    for name in (RUNNING, HISTORY):
        text = (store.folder / name).read_text()
        (store.folder / name).write_text(text.replace(repr(at), repr(round(at - DAY * days_ago, 3))))
    return other


def lived(store: Store, lift: float, users: int = 400) -> None:
    """What users did: answers in the log, and clicks in the state."""
    began = running(store.folder).experiments["new"].at
    rng, arms = np.random.default_rng(0), Assignment("new", ARMS)
    events, answers = [], []
    for day in range(DAYS):
        for user in range(users):
            arm, at = arms.arm(str(user)), began + DAY * day + 10 + float(rng.integers(3_000))
            about = {"time": at, "user": user, "arms": {"new": arm}, "ms": {"rank": 5.0}}
            answers.append(impression(day * users + user, **about))
            for click in range(rng.binomial(3, 0.3 * (1 + lift * (arm == "treated")))):
                events.append(Event(str(user), str(10 + click), int(at) + 60, "click", 1.0))
    write_log(store.folder, answers)
    log = open_state(store.folder / "live" / "state.sqlite")
    log.observe(events)
    log.close()


def test_what_a_store_has_is_judged(store: Store) -> None:
    begun(store)
    lived(store, lift=0.3)
    found = judged(store.folder, "new")
    assert (found.decision, found.arm, found.days) == ("ship", "treated", DAYS)
    assert sum(found.users.values()) == 400
    assert found.comparisons[0].treated > found.comparisons[0].control > 0.8 * 0.9 * DAYS
    earlier = judged(store.folder, "new", now=running(store.folder).experiments["new"].at + 2.5 * DAY)
    assert len(earlier.comparisons[0].looks) == 2


@pytest.mark.parametrize("by", ["size", "keep"])
def test_without_the_answers_of_its_start_it_has_no_winner_and_says_so(
    store: Store, by: str, run: Callable[..., str]
) -> None:
    begun(store)
    lived(store, lift=0.3)
    log, at = answers_folder(store.folder), running(store.folder).experiments["new"].at
    assert judged(store.folder, "new").answers_from is None
    if by == "size":
        sweep(log, Retention(size=sum(path.stat().st_size for path in log.glob("*.jsonl")) // 2), at)
    else:
        remove_before(log, at + 2 * DAY)
    since = min(one.time for one in read(log))
    found = judged(store.folder, "new")
    assert at + DAY < since
    assert at + DAY < (found.answers_from or 0) <= since
    assert {each.state for each in found.comparisons} == {"better"}  # of what is left
    assert (found.decision, found.arm) == ("stop", None)
    assert judged(store.folder, "new", now=at + 5.5 * DAY).decision == "go on"
    gone = datetime.fromtimestamp(found.answers_from or 0, UTC).strftime("%Y-%m-%d %H:%M")
    assert f"answers of before {gone} UTC are gone" in " ".join(run("new", "--store", store.folder).split())


def test_events_of_a_file_count_once(store: Store, tmp_path: Path) -> None:
    begun(store)
    lived(store, lift=0.0)
    at = int(running(store.folder).experiments["new"].at) + 4_000
    log = open_state(store.folder / "live" / "state.sqlite")
    (kept,) = log.events_of("0", 1)
    rows = [("0", int(kept.item_id), kept.time, "click"), ("0", 99, at, "click")]  # the first is known
    pd.DataFrame(rows, columns=["user_id", "item_id", "time", "kind"]).to_csv(tmp_path / "e.csv", index=False)
    without, beside = (judged(store.folder, "new", events=path) for path in (None, tmp_path / "e.csv"))
    arm = Assignment("new", ARMS).arm("0")
    name = "control" if arm == "control" else "treated"
    more = getattr(beside.comparisons[0], name) - getattr(without.comparisons[0], name)
    assert more * without.users[str(arm)] == pytest.approx(1.0)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column 'user_id'"):
        judged(store.folder, "new", events=tmp_path / "bad.csv")


def test_events_without_a_clock_count_by_the_answers_that_they_name(store: Store, tmp_path: Path) -> None:
    """Also those that were copied, once each: what is in both names the same answer."""
    begun(store)
    lived(store, lift=0.0)
    log = open_state(store.folder / "live" / "state.sqlite")
    log.retain(events_before=2**40, changes_before=0.0, forgotten_before=0.0)
    assert judged(store.folder, "new").comparisons == ()
    answers = [one for one in read(answers_folder(store.folder)) if int(one.id, 16) % 7 < 2]
    events = [Event(str(one.user), "10", 0, "click", None, one.id) for one in answers]
    log.observe(events[:500])
    pd.DataFrame(events[300:]).to_parquet(tmp_path / "events.parquet")
    found = judged(store.folder, "new", events=tmp_path / "events.parquet")
    (metric,) = found.comparisons
    clicks = metric.control * found.users["control"] + metric.treated * found.users["treated"]
    assert clicks == pytest.approx(len(events))


def test_users_with_more_events_than_are_kept_are_refused_and_few_of_them_named(
    store: Store, tmp_path: Path
) -> None:
    begun(store)
    lived(store, lift=0.3)
    at, log = int(running(store.folder).experiments["new"].at), open_state(store.folder / "live/state.sqlite")
    usual = log.events_of("0", 1_000)
    busy = [Event("0", "7", at + DAY + second, "click", None) for second in range(1_200)]
    log.observe(busy)
    assert len(log.events_of("0", 2_000)) == 200
    one = judged(store.folder, "new")
    assert one.decision == "ship"
    assert "Of 1 users the newest 200 events alone count" in one.reasons[-1]
    many = [
        Event(str(user), "7", at + DAY + second, "click", None)
        for user in range(1, 6)
        for second in range(200)
    ]
    log.observe(many)
    with pytest.raises(DataError, match=r"of 6 of 400 users .* keeps the newest 200 of each: give them back"):
        judged(store.folder, "new")
    pd.DataFrame([*usual, *busy, *many]).to_csv(tmp_path / "events.csv", index=False)
    whole = judged(store.folder, "new", events=tmp_path / "events.csv")
    assert not any("newest 200" in sentence for sentence in whole.reasons)
    pd.DataFrame([*usual, *busy[:900]]).to_csv(
        tmp_path / "gap.csv", index=False
    )  # ends before the state begins
    with pytest.raises(DataError, match="of 6 of 400 users"):
        judged(store.folder, "new", events=tmp_path / "gap.csv")


@pytest.mark.parametrize(
    ("time", "value", "error"),
    [
        (
            "2026-11-25T10:00:00Z",
            "1",
            r"bad.csv, row 2: time is '2026-11-25T10:00:00Z': seconds since 1970 are",
        ),
        ("", "1", r"bad.csv, row 2: time is nan: seconds since 1970 are expected"),
        ("1795500000000", "1", r"bad.csv, row 2: time is .*: these look like milliseconds \(2026-11-2"),
        ("1795500000", "abc", r"bad.csv, row 2: value is 'abc': a number is expected"),
    ],
)
def test_what_is_wrong_in_a_file_of_events_is_named(
    tmp_path: Path, time: str, value: str, error: str
) -> None:
    store, _, other = two_bundles(tmp_path)
    start(store, "new", halves(other))
    rows = f"1,i1,1795500000,click,\n1,i1,{time},click,{value}\n"
    (tmp_path / "bad.csv").write_text("user_id,item_id,time,kind,value\n" + rows)
    with pytest.raises(DataError, match=error):
        judged(store.folder, "new", events=tmp_path / "bad.csv")


def test_an_experiment_that_never_was_is_named(store: Store) -> None:
    begun(store)
    with pytest.raises(ConfigError, match="no experiment 'old'; running: new"):
        judged(store.folder, "old")


def lenient(built: TinyBuild) -> Any:
    return built.config.model_copy(update={"gates": LENIENT})


def test_the_nightly_run_is_held_while_it_goes_on(store: Store, built: TinyBuild) -> None:
    begun(store, days_ago=2.5)
    (finding,) = settle(store, lenient(built))
    assert not finding.passed
    assert "goes on, 2 of 6 days: publishing would change its control" in finding.sentence
    assert set(running(store.folder).experiments) == {"new"}


def test_the_nightly_run_publishes_a_winner_and_holds_its_own_bundle(store: Store, built: TinyBuild) -> None:
    other = begun(store)
    lived(store, lift=0.3)
    (finding,) = settle(store, lenient(built))
    assert not finding.passed
    assert f"{other} was published" in finding.sentence
    assert store.current() == other
    assert running(store.folder).experiments == {}
    assert settle(store, lenient(built)) == []


def test_the_nightly_run_ends_what_is_to_stop_and_goes_on(store: Store, built: TinyBuild) -> None:
    before, _ = store.current(), begun(store)
    lived(store, lift=0.0)
    (finding,) = settle(store, lenient(built))
    assert finding.passed
    assert store.current() == before
    assert running(store.folder).experiments == {}


def test_what_cannot_be_judged_holds(store: Store, built: TinyBuild) -> None:
    begun(store)
    lived(store, lift=0.3)
    (store.folder / "live" / "state.sqlite").write_bytes(b"no database at all, and long enough to look" * 99)
    for left in ("state.sqlite-wal", "state.sqlite-shm"):
        (store.folder / "live" / left).unlink(missing_ok=True)
    (finding,) = settle(store, lenient(built))
    assert not finding.passed
    assert "could not be settled" in finding.sentence
    (store.folder / RUNNING).write_text("{")
    (finding,) = settle(store, lenient(built))
    assert not finding.passed
    assert "is damaged" in finding.sentence


def test_an_experiment_of_stages_holds_nothing(store: Store, built: TinyBuild) -> None:
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "rerank": {"trade_off": 0.5}}}
    start(store, "stages", ExperimentConfig.model_validate({"arms": arms}))
    assert settle(store, lenient(built)) == []


def test_only_a_winner_is_published_and_only_a_bundle(store: Store) -> None:
    begun(store)
    lived(store, lift=0.0)
    with pytest.raises(ConfigError, match="has no winner: stop"):
        publish_winner(store, judged(store.folder, "new"), config=LENIENT)
    won = judged(store.folder, "new").model_copy(update={"decision": "ship", "arm": "control"})
    with pytest.raises(ConfigError, match="only bundles are published"):
        publish_winner(store, won, config=LENIENT)
    assert set(running(store.folder).experiments) == {"new"}


@pytest.fixture
def run() -> Callable[..., str]:
    def call(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["experiment", *map(str, arguments)])
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout if code == 0 else str(done.exception)

    return call


def test_the_command_starts_grows_lists_judges_and_stops(
    store: Store, tmp_path: Path, run: Callable[..., str]
) -> None:
    other, config = without_ranker(store), tmp_path / "shop.toml"
    text = (
        'name = "shop"\n[data]\nreader = "frames"\n[experiments.new]\nramp = {ramp}\nlayer = "order"\n'
        "[experiments.new.arms]\ncontrol = {{ share = 0.5 }}\n"
        'treated = {{ share = 0.5, bundle = "{bundle}" }}\n'
    )
    config.write_text(text.format(ramp=0.2, bundle="gone-0123456789ab"))
    where = ("--store", store.folder)
    assert "experiments.new.arms.treated" in run("new", *where, "--start", config, code=1)
    config.write_text(text.format(ramp=0.2, bundle=other) + '[impressions]\nkeep = "13d"\n')
    assert "impressions.keep is '13d'" in run("new", *where, "--start", config, code=1)  # of 14 days
    config.write_text(text.format(ramp=0.2, bundle=other))
    assert "declares no experiment 'old'; there are: new" in run("old", *where, "--start", config, code=1)
    assert "20% of all users" in run("new", *where, "--start", config)
    config.write_text(text.format(ramp=1.0, bundle=other))
    assert "100% of all users" in run("new", *where, "--start", config)
    assert "order" in run(*where)
    assert json.loads(run(*where, "--json"))["experiments"]["new"]["config"]["ramp"] == 1.0
    assert "go on" in run("new", *where)
    found = json.loads(run("new", *where, "--json", "--page", tmp_path / "page.html"))
    assert (found["decision"], found["days"]) == ("go on", 0)
    assert "Go on" in (tmp_path / "page.html").read_text()
    assert "has no winner" in run("new", *where, "--ship", code=1)
    assert "has ended" in run("new", *where, "--stop")
    assert running(store.folder).experiments == {}
    assert "go on" in run("new", *where)  # what ran can still be looked at


def test_days_behind_its_end_do_not_count(store: Store) -> None:
    begun(store, days_ago=3.5)
    at = running(store.folder).experiments["new"].at
    stop(store, "new")
    assert judged(store.folder, "new", now=at + 30 * DAY).days == 3
