"""Shares that move to the better arm: fixed between updates, logged as chances, and judged by them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from funnel.artifacts import Store
from funnel.cli import app
from funnel.config import parse
from funnel.errors import ConfigError, DataError
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.history import HISTORY
from funnel.experiments.judging import judge
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.running import RUNNING, move_shares, running, start, started_once, stop
from funnel.experiments.sums import DAY, UserSums, sums_of
from funnel.experiments.weighted import periods_of, weighted_effect
from funnel.impressions import answers_folder, as_line
from funnel.impressions.files import hour_of, hour_text
from funnel.pipeline.ingest import ingest
from funnel.pipeline.run.experiments import settle
from funnel.policies.thompson import arm_values, next_weights
from funnel.serving.arms import RunningExperiment
from funnel.serving.evidence import judged
from funnel.serving.state import Event, open_state
from funnel.serving.state.retention import retain
from funnel.serving.weights import next_shares, update_weights
from tests.experiments.stores import two_bundles
from tests.impressions.records import impression

START, CLICKS = 1_790_000_000.0, LiveMetric.parse("click per user")


def config(**more: Any) -> ExperimentConfig:
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "rerank": {"trade_off": 0.5}}}
    return ExperimentConfig.model_validate({"arms": arms, "weights": "thompson", **more})


def world(
    rng: np.random.Generator, periods: int, users: int, lift: float, *, again: bool = False
) -> tuple[UserSums, list[dict[str, float]]]:
    """Users who are given arms by shares that go by what was earned, a period a day. again: the same people
    in each period, who like what they are shown more or less."""
    shares, taste = [{"control": 0.5, "treated": 0.5}], rng.uniform(0, 0.6, users)
    arms, clicks = np.zeros((2, 0)), np.zeros(0)
    for day in range(periods):
        arm = rng.random(users) < shares[day]["treated"]
        clicked = rng.random(users) < (taste if again else 0.3) * (1 + lift * arm)
        arms = np.concatenate([arms, [arm, np.full(users, day)]], axis=1)
        clicks = np.append(clicks, clicked)
        sums = of_columns(arms.astype(np.int64), clicks, users, shares, again=again)
        if day + 1 < periods:
            shares.append(next_weights(list(shares[0]), periods_of(sums, CLICKS, day), least=0.05))
    return sums, shares


def of_columns(
    arms: Any, clicks: Any, users: int, shares: list[dict[str, float]], *, again: bool
) -> UserSums:
    """arms: by unit, and its period; clicks: by unit."""
    arm, period = arms
    units = np.arange(len(arm))
    return UserSums(
        arms=("control", "treated"),
        arm=arm,
        first_day=period,
        tables={"click": (units, period, clicks)},
        mixed=0,
        versions={},
        person=units % users if again else units,
        period=period,
        shares=tuple(tuple(each.values()) for each in shares),
    )


def test_values_are_those_of_the_estimate_that_knows_the_shares() -> None:
    sums, shares = world(np.random.default_rng(1), periods=4, users=300, lift=0.5)
    assert shares[-1]["treated"] > 0.8
    known = arm_values(["control", "treated"], periods_of(sums, CLICKS, 3))
    measured = weighted_effect(sums, CLICKS, 1, 3)
    assert measured is not None
    # Its model is the mean of the same periods where this one's is of the periods before.
    assert float(measured.control) == pytest.approx(known["control"].value, abs=0.02)
    assert float(measured.treated) == pytest.approx(known["treated"].value, abs=0.02)


@pytest.mark.parametrize("again", [False, True])
def test_intervals_cover_where_shares_go_by_what_was_earned(again: bool) -> None:
    runs, covered = 150, 0
    for seed in range(runs):
        sums, _ = world(np.random.default_rng((7, seed)), periods=3, users=150, lift=0.4, again=again)
        measured = weighted_effect(sums, CLICKS, 1, 2)
        assert measured is not None
        low, high = measured.relative_interval()
        covered += bool(low <= 0.4 <= high)
    assert covered / runs >= 0.9


@pytest.mark.parametrize(("share", "is_told"), [(0.5, True), (0.02, False)])
def test_an_arm_where_nobody_clicks_is_told_by_how_many_were_there(share: float, is_told: bool) -> None:
    rng, users = np.random.default_rng(0), 1_000
    arm = (rng.random(users) < share).astype(np.int64)
    clicks = (rng.random(users) < 0.06) * (arm == 0)
    shares = [{"control": 1 - share, "treated": share}]
    columns = np.stack([arm, np.zeros(users, dtype=np.int64)])
    found = judge("new", config(days=1), of_columns(columns, clicks, users, shares, again=False), 1.0)
    assert found.comparisons[0].relative == -1
    assert found.comparisons[0].state == ("worse" if is_told else "open")


def test_a_person_is_a_unit_in_each_period_and_their_clicks_are_of_the_last_one() -> None:
    shares = [{"control": 0.5, "treated": 0.5}, {"control": 0.1, "treated": 0.9}]
    answers = [
        impression(1, time=START + 10, user=1, arms={"new": "control"}, weights={"new": (0, 0.5)}),
        impression(2, time=START + 90, user=1, arms={"new": "treated"}, weights={"new": (1, 0.9)}),
        impression(3, time=START + 95, user=1, arms={"new": "treated"}, weights={"new": (2, 0.9)}),
    ]
    times = [START - 50, START + 5, START + 20, START + 60, START + 91, START + 99]
    frame = pd.DataFrame({"user_id": "1", "time": times, "kind": "click"})
    sums = sums_of("new", ["control", "treated"], START, answers, frame, shares=shares)
    assert (sums.arm.tolist(), sums.period.tolist(), sums.person.tolist()) == ([0, 1], [0, 1], [0, 0])
    assert sums.sums(CLICKS, 0, 9)[0].tolist() == [2, 2]
    assert sums.sums(CLICKS, -1, -1)[0].tolist() == [1, 0]
    assert sums.mixed == 0


def test_whether_users_came_as_each_period_says_is_looked_at() -> None:
    sums, _ = world(np.random.default_rng(3), periods=3, users=400, lift=0.5)
    assert judge("new", config(), sums, 3.0).ratio_p_value > 0.01
    wrong = UserSums(**{**vars(sums), "shares": ((0.5, 0.5),) * len(sums.shares)})
    found = judge("new", config(), wrong, 3.0)
    assert found.ratio_p_value < 1e-6
    assert found.decision == "stop"


def test_between_updates_nothing_moves_and_an_update_draws_users_anew(tmp_path: Path) -> None:
    store, _, _ = two_bundles(tmp_path)
    started = start(store, "new", config(ramp=0.6))
    users = [str(user) for user in range(6_000)]
    before = RunningExperiment.of("new", started)
    move_shares(store, "new", {"control": 0.2, "treated": 0.8}, 0)
    after = RunningExperiment.of("new", running(store.folder).experiments["new"])
    arms = [(before.arm(user), after.arm(user)) for user in users]
    assert before.weights == {"control": (0, 0.5), "treated": (0, 0.5)}
    assert after.weights == {"control": (1, 0.2), "treated": (1, 0.8)}
    assert all((a is None) == (b is None) for a, b in arms)  # who is in stays in
    inside = Counter(pair for pair in arms if None not in pair)
    total = sum(inside.values())
    for (first, then), n in inside.items():  # whatever they had before, the share is the chance
        assert n / total == pytest.approx(0.5 * {"control": 0.2, "treated": 0.8}[str(then)], abs=0.02), first


def test_what_another_moved_meanwhile_is_not_moved_again_and_a_killed_one_leaves_no_gap(
    tmp_path: Path,
) -> None:
    store, _, second = two_bundles(tmp_path)
    start(store, "new", config())
    text = (store.folder / RUNNING).read_text()
    move_shares(store, "new", {"control": 0.4, "treated": 0.6}, 0)
    with pytest.raises(ConfigError, match="moved meanwhile"):
        move_shares(store, "new", {"control": 0.3, "treated": 0.7}, 0)
    (store.folder / RUNNING).write_text(text)  # as if it had been killed between both files
    move_shares(store, "new", {"control": 0.1, "treated": 0.9}, 0)
    assert running(store.folder).experiments["new"] == started_once(store.folder, "new")
    assert started_once(store.folder, "new").shares[-1] == {"control": 0.1, "treated": 0.9}  # type: ignore[union-attr]
    lines = [json.loads(line) for line in (store.folder / HISTORY).read_text().splitlines()]
    assert [line["action"] for line in lines] == ["start", "shares", "shares"]
    stop(store, "new")
    with pytest.raises(ConfigError, match="does not run"):
        move_shares(store, "new", {"control": 0.1, "treated": 0.9}, 1)
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": second}}
    start(store, "fixed", ExperimentConfig.model_validate({"arms": arms}))
    with pytest.raises(ConfigError, match="do not move"):
        update_weights(store, "fixed")


def test_what_does_not_move_is_written_as_an_earlier_funnel_reads_it(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": second}}
    start(store, "new", ExperimentConfig.model_validate({"arms": arms}))
    known = json.loads((store.folder / RUNNING).read_text())["experiments"]["new"]
    assert set(known) == {"config", "at"}
    assert {"kind", "weights", "least"}.isdisjoint(known["config"])
    start(store, "moves", config(layer="stages"))
    known = json.loads((store.folder / RUNNING).read_text())["experiments"]["moves"]
    assert known["config"]["weights"] == "thompson"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metric": "click per answer"}, "the metric is KIND per user"),
        ({"metric": "milliseconds per user"}, "the metric is KIND per user"),
        ({"least": 0.6}, "least"),
        ({"weights": "ucb"}, "weights"),
    ],
)
def test_what_cannot_move_is_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**more)


def lived(store: Store, day: int, users: int = 300, treated: float = 0.7) -> None:
    """What users do on a day: those of one arm click far more."""
    started = running(store.folder).experiments["new"]
    plan, rng = RunningExperiment.of("new", started), np.random.default_rng(day)
    lines, events, at = [], [], started.at + DAY * day + 60
    for user in range(users):
        arm = str(plan.arm(str(user)))
        weights = {"new": plan.weights[arm]}
        one = impression(day * users + user, time=at, user=user, arms={"new": arm}, weights=weights)
        lines.append(as_line(one))
        if rng.random() < (treated if arm == "treated" else 0.2):
            events.append(Event(str(user), "10", int(at) + 60, "click", 1.0))
    folder = answers_folder(store.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{hour_text(hour_of(at))}.host-1-{day}.jsonl").write_bytes(b"".join(lines))
    log = open_state(store.folder / "live" / "state.sqlite")
    log.observe(events)
    log.close()


def test_an_update_reads_the_log_and_moves_the_shares_and_judging_goes_by_them(tmp_path: Path) -> None:
    store, _, _ = two_bundles(tmp_path)
    start(store, "new", config(days=3))
    lived(store, 0)
    where = ["experiment", "new", "--store", str(store.folder)]
    done = CliRunner().invoke(app, [*where, "--update"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "period 1: control 0.02, treated 0.98" in done.output
    lived(store, 1)
    at = running(store.folder).experiments["new"].at
    found = judged(store.folder, "new", now=at + 2.5 * DAY)
    assert (found.mixed, found.days) == (0, 2)
    assert sum(found.users.values()) == 600
    (result,) = found.comparisons
    assert result.relative == pytest.approx(0.7 / 0.2 - 1, abs=0.9)
    assert result.state == "better"
    assert [period["treated"] for period in found.shares] == [0.5, pytest.approx(0.98)]
    assert found.ratio_p_value > 0.01
    assert Assignment("new/1", {"control": 0.02, "treated": 0.98}, entering="new").arm("7") is not None


def published(store: Store, name: str, until: float) -> None:
    """A version whose data reach to a moment."""
    with store.writing("shop") as draft:
        (draft.folder / "own.txt").write_text(name)
        draft.describe(towers_fingerprint="t", schema_fingerprint="s", data_read=until, data_end=int(until))
    store.publish(draft.version)


def begun_days_ago(store: Store, days: float, **more: Any) -> float:
    """Start an experiment that began so many days ago; when."""
    at = start(store, "new", config(days=9, **more)).at
    for name in (RUNNING, HISTORY):
        text = (store.folder / name).read_text()
        (store.folder / name).write_text(text.replace(repr(at), repr(round(at - DAY * days, 3))))
    return running(store.folder).experiments["new"].at


@pytest.mark.parametrize("ingests", [False, True])
def test_at_night_shares_go_by_all_that_was_earned_or_stay(tmp_path: Path, ingests: bool) -> None:
    store, _, _ = two_bundles(tmp_path)
    data, where = tmp_path / "data", store.folder / "live" / "state.sqlite"
    data.mkdir()
    pd.DataFrame({"user_id": [1], "item_id": [1], "time": [1]}).to_csv(data / "events.csv", index=False)
    (data / "schema.json").write_text("{}")
    settings = parse({"name": "shop", "data": {"reader": "folder", "path": str(data)}})
    at = begun_days_ago(store, 2)
    lived(store, 0, users=60, treated=0.22)
    if ingests:
        ingest(settings, store)
    lived(store, 1, users=60, treated=0.22)
    everything = next_shares(store.folder, "new", running(store.folder).experiments["new"])
    for night in (1, 2):  # both have the first day in their data
        published(store, f"night {night}", at + DAY + night)
    log = open_state(where)
    before = log.sizes()["events"]
    retain(store, log)
    assert 0 < log.sizes()["events"] < before
    log.close()
    (finding,) = settle(store, settings)
    assert finding.passed
    now = running(store.folder).experiments["new"]
    if ingests:
        assert now.shares[1] == everything
        assert judged(store.folder, "new", events=data / "ingested" / "events").users
    else:
        assert len(now.shares) == 1
        assert "stay as they are: events of before" in finding.sentence
        with pytest.raises(DataError, match="have left the state"):
            judged(store.folder, "new")


def test_what_has_left_the_state_is_refused_where_shares_stay_as_well(tmp_path: Path) -> None:
    store, _, _ = two_bundles(tmp_path)
    at = begun_days_ago(store, 2, weights="fixed")
    for night in (1, 2):
        published(store, f"night {night}", at + DAY + night)
    with pytest.raises(DataError, match="have left the state"):
        judged(store.folder, "new")
    folder = tmp_path / "events"
    folder.mkdir()
    pd.DataFrame({"user_id": ["0"], "item_id": ["1"], "time": [int(at)], "kind": ["click"]}).to_parquet(
        folder / "events.parquet"
    )
    assert judged(store.folder, "new", events=folder).days == 2
