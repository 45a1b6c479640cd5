"""From the log and events to a decision: what users did, what holds, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from funnel import show
from funnel.errors import DataError
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.judging import Judgement, judge
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.sums import DAY, UserSums, sums_of
from funnel.impressions import Impression
from funnel.pages.experiment import over_time, write_page
from tests.impressions.records import impression

START = 1_790_000_000.0


def config(**more: Any) -> ExperimentConfig:
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": "b"}}
    return ExperimentConfig.model_validate({"arms": arms, "days": 10, **more})


class World:
    """Users who come on each of some days and click; the treated ones with another rate."""

    def __init__(self, *, users: int = 600, days: int = 10, lift: float = 0.0, slow: float = 0.0,
                 lost: float = 0.0, empty: float = 0.0, seed: int = 0) -> None:  # fmt: skip
        rng = np.random.default_rng(seed)
        arms = Assignment("new", {"control": 0.5, "treated": 0.5})
        taste = rng.beta(3, 7, users)
        self.answers: list[Impression] = []
        self.events: list[tuple[Any, float, str, float]] = []
        for day in range(-3, days):
            for user in np.flatnonzero(rng.random(users) < 0.6).tolist():
                arm = arms.arm(str(user))
                treated = day >= 0 and arm == "treated"
                if treated and rng.random() < lost and user % 5 == 0:
                    continue
                time = START + DAY * (day + float(rng.random()) / 2)
                ms = {"rank": 5.0 * (1 + slow * treated) * float(rng.lognormal(0, 0.1))}
                named = {"new": str(arm)} if day >= 0 else {}
                about: dict[str, Any] = {"time": time, "user": user, "arms": named, "version": str(arm)}
                if treated and rng.random() < empty:
                    about["shown"] = ()
                self.answers.append(impression(len(self.answers), ms=ms, **about))
                clicks = rng.binomial(4, min(1.0, taste[user] * (1 + lift * treated)))
                self.events += [(str(user), time + 60 + i, "click", 1.5) for i in range(int(clicks))]

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.events, columns=["user_id", "time", "kind", "value"])

    def sums(self) -> UserSums:
        return sums_of("new", ["control", "treated"], START, self.answers, self.frame())

    def judged(self, elapsed: float = 10.0, **settings: Any) -> Judgement:
        return judge("new", config(**settings), self.sums(), elapsed)


def test_sums_are_those_of_a_slow_count() -> None:
    world = World(users=40, days=4)
    world.events += [(str(user), START + 1.0, "click", 1.0) for user in range(40)]  # in front of any answer
    sums = world.sums()
    first = {}
    for answer in world.answers:
        if answer.time >= START:
            first[answer.user] = min(answer.time, first.get(answer.user, np.inf))
    for day in range(4):
        until = START + DAY * (day + 1)
        moments = sums.moments(LiveMetric.parse("click per answer"), day)
        for arm, found in zip(("control", "treated"), moments, strict=True):
            members = {answer.user for answer in world.answers if answer.arms.get("new") == arm}
            seen = {user for user in members if first[user] < until}
            clicks = sum(int(u) in seen and first[int(u)] <= t < until for u, t, _, _ in world.events)
            answers = sum(a.user in seen and START <= a.time < until for a in world.answers)
            before = sum(int(u) in seen and t < START for u, t, _, _ in world.events)
            assert found is not None
            n = float(found.n)
            assert n == len(seen)
            assert (found.mean[:3] * n).round(6).tolist() == [clicks, answers, before]


def test_events_without_a_clock_are_of_the_answers_that_they_name() -> None:
    world = World(users=60, days=4)
    named = [(str(a.user), a.time, "click", 1.5, a.id) for a in world.answers if a.id[-1] in "03579"]
    timed = pd.DataFrame(named, columns=["user_id", "time", "kind", "value", "answer"])
    without = pd.concat([timed, timed.iloc[:1].assign(answer="gone")]).assign(time=0)
    expected, found = (
        sums_of("new", ["control", "treated"], START, world.answers, frame) for frame in (timed, without)
    )
    for metric in map(LiveMetric.parse, ("click per user", "value of click per answer")):
        for day in (-1, 0, 3):
            assert found.sums(metric, day, day)[0].tolist() == expected.sums(metric, day, day)[0].tolist()
    assert found.sums(metric, 0, 3)[0].sum() > 0


@pytest.mark.parametrize(
    ("apart", "answer", "counts"),
    [(0, None, 1), (0, "its", 1), (-5, "its", 1), (-60, "its", 1), (-90, "its", 0), (-5, None, 0)],
)
def test_an_event_of_the_second_of_the_first_answer_or_a_little_before_it_counts(
    apart: int, answer: str | None, counts: int
) -> None:
    """The state has whole seconds, cut off; and a clock may be behind that of the machine that answered."""
    first = impression(1, time=START + 100.75, user=7, arms={"new": "control"})
    row = ("7", int(START + 100) + apart, "click", 1.0, answer and first.id)
    frame = pd.DataFrame([row], columns=["user_id", "time", "kind", "value", "answer"])
    sums = sums_of("new", ["control", "treated"], START, [first], frame)
    assert sums.sums(LiveMetric.parse("click per user"), 0, 0)[0].tolist() == [counts]


def test_a_true_gain_ships_with_what_was_known_before_taken_out() -> None:
    found = World(lift=0.25).judged(
        guardrails={"milliseconds per answer": 0.05}, also=["value of click per user"]
    )
    assert (found.decision, found.arm) == ("ship", "treated")
    primary, guard, other = found.comparisons
    assert primary.low is not None
    assert primary.high is not None
    assert primary.low < 0.25 < primary.high
    assert primary.saved > 0.1
    assert (primary.state, guard.state, other.state) == ("better", "kept", "better")
    assert "is better" in found.reasons[0]


def test_a_true_loss_stops_before_the_horizon() -> None:
    found = World(lift=-0.5, days=6).judged(6.5)
    assert (found.decision, found.arm, found.days) == ("stop", None, 6)
    assert found.comparisons[0].state == "worse"


def test_a_broken_guardrail_stops_what_is_better() -> None:
    found = World(lift=0.25, slow=0.2).judged(guardrails={"milliseconds per answer": 0.05})
    assert found.decision == "stop"
    assert any("guardrail milliseconds per answer is broken" in sentence for sentence in found.reasons)


@pytest.mark.parametrize("elapsed", [6.0, 10.0])
def test_an_arm_where_nobody_clicks_is_worse(elapsed: float) -> None:
    found = World(lift=-1.0).judged(elapsed)
    assert (found.decision, found.comparisons[0].state) == ("stop", "worse")


@pytest.mark.parametrize("elapsed", [6.0, 10.0])
def test_a_guardrail_that_the_control_keeps_at_nothing_is_broken(elapsed: float) -> None:
    found = World(lift=0.25, empty=0.3).judged(elapsed, guardrails={"empty per answer": 0.0})
    guard = found.comparisons[1]
    assert (found.decision, guard.state, guard.control, guard.relative) == ("stop", "broken", 0.0, None)
    assert any("guardrail empty per answer is broken" in sentence for sentence in found.reasons)
    few = World(lift=0.25, empty=0.001).judged(elapsed, guardrails={"empty per answer": 0.0})
    assert few.comparisons[1].state == "open"  # of two answers nobody can say so


def test_nothing_yet_goes_on_and_says_what_could_still_be_seen() -> None:
    found = World(days=4).judged(4.2)
    assert found.decision == "go on"
    assert "On day 10 an effect of" in " ".join(found.reasons)


def test_nothing_at_the_horizon_stops_and_says_what_would_have_been_found() -> None:
    found = World(seed=2).judged(10.0)
    assert found.decision == "stop"
    assert "would have been found with 80%" in " ".join(found.reasons)


def test_lost_users_stop_everything_whatever_the_metrics_say() -> None:
    found = World(users=4_000, days=2, lift=0.5, lost=1.0).judged(2.0)
    assert found.decision == "stop"
    assert "did not come into the arms as declared" in found.reasons[0]


def test_days_that_are_not_over_do_not_count() -> None:
    world = World(lift=0.25)
    assert world.judged(0.9).comparisons == ()
    assert "not over" in world.judged(0.9).reasons[0]
    assert len(world.judged(5.99).comparisons[0].looks) == 5


def test_the_declared_test_is_of_the_days_up_to_the_horizon() -> None:
    """Looking on after the horizon does not make it another test."""
    world = World(days=14)
    once, later = (world.judged(elapsed).comparisons[0] for elapsed in (10.0, 14.0))
    assert (once.low, once.high, once.p_value) == (later.low, later.high, later.p_value)
    assert once.sequence_low != later.sequence_low


def test_behind_the_horizon_each_interval_stands_beside_the_estimate_of_its_days(tmp_path: Path) -> None:
    """An effect that turns: what the declared test found is no longer what is seen."""
    world, turned = World(users=300, lift=0.5), World(users=300, days=26, lift=-0.6)
    end = START + 10 * DAY
    world.answers += [replace(one, id=f"f{one.id[1:]}") for one in turned.answers if one.time >= end]
    world.events += [event for event in turned.events if event[1] >= end]
    once, later = world.judged(10.0), world.judged(26.0)
    (result,) = later.comparisons
    assert result.declared == once.comparisons[0].relative == once.comparisons[0].declared
    assert result.low is not None
    assert result.high is not None
    assert result.relative is not None
    assert result.declared is not None
    assert result.relative < result.low < result.declared < result.high
    at_horizon = f"{100 * result.declared:+.3g}% [{100 * result.low:+.3g}, {100 * result.high:+.3g}]"
    assert f"({at_horizon})." in once.reasons[0]
    assert f"({at_horizon} on day 10; {100 * result.relative:+.3g}% [" in later.reasons[0]
    assert world.judged(9.0).comparisons[0].declared is None
    page = write_page(later, tmp_path / "page.html").read_text()
    assert f"{100 * result.declared:+.2f}%: {100 * result.low:+.2f}%" in page
    out = Console(file=StringIO(), width=200)
    show.judgement(later, out)
    assert f"{100 * result.declared:+.2f}%: {100 * result.low:+.2f} …" in out.file.getvalue()  # type: ignore[attr-defined]


def test_users_in_two_arms_count_in_neither_and_the_log_may_hold_others() -> None:
    world = World(users=50, days=3)
    moved = next(answer for answer in world.answers if answer.arms.get("new") == "control")
    other = impression(9_001, user=moved.user, time=START + 5, arms={"new": "treated"})
    strangers = [
        impression(9_002, user=None, time=START + 5, arms={"new": "control"}),
        impression(9_003, user=77, time=START + 5, arms={"else": "control"}),
        impression(9_004, user=78, time=START + 5, arms={"new": "gone"}),
    ]
    before = sum(world.sums().users(2))
    world.answers += [other, *strangers]
    assert world.sums().mixed == 1
    assert sum(world.sums().users(2)) == before - 1


def test_no_event_at_all_is_no_error_and_says_what_to_look_at() -> None:
    world = World(days=3)
    world.events = []
    found = world.judged(3.0)
    assert found.decision == "go on"
    assert "are events observed" in found.reasons[0]


def test_a_primary_metric_without_events_goes_on_to_the_horizon_and_is_named() -> None:
    """Guardrails of answers can be compared before the first click."""
    world = World(slow=0.2)
    world.events = []
    for elapsed, margin, decision in ((3.0, 0.5, "go on"), (10.0, 0.5, "stop"), (3.0, 0.05, "stop")):
        found = world.judged(elapsed, guardrails={"milliseconds per answer": margin})
        assert (found.decision, found.arm) == (decision, None)
        assert "click per user cannot be compared" in found.reasons[0]
        assert "guardrail milliseconds per answer" in found.reasons[1]


def test_an_arm_that_has_hardly_anybody_is_not_ended_with_the_others() -> None:
    world = World(lift=-0.9)
    shares = {"control": 0.499, "treated": 0.499, "small": 0.002}
    arms = {name: {"share": share, "bundle": name} for name, share in shares.items()}
    settings = ExperimentConfig.model_validate({"arms": arms, "days": 10})
    found = judge("new", settings, sums_of("new", arms, START, world.answers, world.frame()), 6.0)
    assert [each.state for each in found.comparisons] == ["worse"]
    assert (found.decision, len(found.reasons)) == ("go on", 2)


def test_three_arms_share_the_level() -> None:
    """The same arm twice: its interval is that of half the level, its p-value twice that of one."""
    world = World(lift=0.1, seed=4)
    alone = world.judged().comparisons[0]
    arms = {"control": {"share": 0.4}, "a": {"share": 0.4, "bundle": "b"}, "b": {"share": 0.2, "bundle": "c"}}
    split = [
        answer if answer.arms.get("new") != "treated" else
        impression(0, id=answer.id, user=answer.user, time=answer.time, ms=answer.ms,
                   arms={"new": "a" if answer.user % 2 else "b"})
        for answer in world.answers
    ]  # fmt: skip
    sums = sums_of("new", arms, START, split, world.frame())
    three = judge("new", config(arms=arms), sums, 10.0)
    primary = [each for each in three.comparisons if each.role == "primary"]
    assert [each.arm for each in primary] == ["a", "b"]
    assert all(each.p_value is not None for each in primary)
    for each in primary:
        assert (each.high or 0) - (each.low or 0) > (alone.high or 0) - (alone.low or 0)


def test_events_without_a_column_are_refused() -> None:
    with pytest.raises(DataError, match="no column 'kind'"):
        sums_of("new", ["a", "b"], START, [], pd.DataFrame({"user_id": [1], "time": [2]}))


def test_it_comes_as_a_table_and_as_json() -> None:
    found = World(lift=0.2).judged(also=["click per answer"])
    frame = found.to_frame()
    assert frame.index.tolist() == [("click per user", "treated"), ("click per answer", "treated")]
    assert Judgement.model_validate_json(found.model_dump_json()) == found
    assert "ship" in found._repr_html_()


def test_a_page_shows_it_and_needs_nothing_else(tmp_path: Path) -> None:
    found = World(lift=0.2).judged(guardrails={"milliseconds per answer": 0.02})
    text = write_page(found, tmp_path / "page.html").read_text()
    assert "Ship treated" in text
    assert text.count("<svg") == 2
    assert not re.search(r'(src|href)="(?!#)', text)
    empty = World(days=1).judged(0.5)
    assert "there is nothing to judge yet" in write_page(empty, tmp_path / "empty.html").read_text()


def test_the_page_draws_every_arm() -> None:
    found = World(lift=0.2).judged()
    arms = [found.comparisons[0].model_copy(update={"arm": f"arm-{number}"}) for number in range(6)]
    drawn = over_time(found.model_copy(update={"comparisons": arms}))
    assert all(f"arm-{number}" in drawn for number in range(6))


@pytest.mark.parametrize("jump", [-3_600, -2 * 86_400, 3_600])
def test_a_clock_that_jumps_loses_nobody_and_no_event(jump: int) -> None:
    """The start was written by one clock, the answers by another: what has an arm is in the experiment."""
    arms = {7: "control", 8: "treated"}
    answers = [
        impression(user, time=START + jump + at, user=user, arms={"new": arms[user]})
        for user in arms for at in (5, 50)
    ]  # fmt: skip
    frame = pd.DataFrame(
        [(str(user), START + jump + at, "click") for user in arms for at in (1, 6, 60)],
        columns=["user_id", "time", "kind"],
    )
    found = sums_of("new", ["control", "treated"], START, answers, frame)
    assert found.users(0) == [1, 1]
    answered, _ = found.sums(LiveMetric.parse("click per user"), 0, 30)
    assert answered.tolist() == [2, 2]  # those behind their first answer
    earlier, _ = found.sums(LiveMetric.parse("click per user"), -1, -1)
    assert earlier.tolist() == ([1, 1] if jump < 0 else [0, 0])
    assert found.sums(LiveMetric.parse("click per answer"), 0, 30)[1].tolist() == [2, 2]
