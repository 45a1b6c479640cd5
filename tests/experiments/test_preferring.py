"""Which arm's items users prefer in lists of both: a better one is found, and none where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.interleaving import INTERLEAVED, drafted, team_draft
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.preferring import TeamClicks, judge_preference, team_clicks
from funnel.experiments.running import running, start
from funnel.impressions.join import Joiner
from funnel.serving.evidence import judged
from funnel.serving.state import Event, open_state
from tests.impressions.records import impression, write_log

START, DAY = 1_790_000_000.0, 86_400
ARMS = {"control": {"share": 0.5}, "other": {"share": 0.5, "rerank": {"trade_off": 0.5}}}


def config(**more: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"arms": ARMS, "kind": "interleaving", "days": 7, **more})


def clicks(rng: np.random.Generator, days: int, users: int, liking: float) -> TeamClicks:
    """A day's users click now and then, on the other arm's items with a chance of (1 + liking) / 2, each a
    little more or less."""
    found = TeamClicks({str(user): user for user in range(days * users)})
    for day in range(days):
        own = np.clip((1 + liking) / 2 + rng.normal(0, 0.15, users), 0, 1)
        for user in range(users):
            for team in rng.random(rng.poisson(1.5)) < own[user]:
                found.users.append(day * users + user)
                found.teams.append(int(team))
                found.days.append(day)
    return found


def test_the_better_arm_is_found_and_the_worse_is_not_shipped() -> None:
    for liking, decision, state in ((0.3, "ship", "better"), (-0.3, "stop", "worse")):
        found = judge_preference("new", config(), clicks(np.random.default_rng(0), 7, 60, liking), 7.2)
        (result,) = found.comparisons
        assert (found.decision, result.state) == (decision, state)
        assert found.arm == ("other" if decision == "ship" else None)
        assert result.treated - result.control == pytest.approx(liking, abs=0.1)
        assert len(result.looks) == 7
        assert found.users == {INTERLEAVED: 420}


def test_of_two_alike_neither_is_found_on_any_day_more_often_than_stated() -> None:
    runs, ever, last = 200, 0, 0
    for seed in range(runs):
        some = clicks(np.random.default_rng((3, seed)), 5, 30, 0.0)
        looks = [judge_preference("new", config(days=6), some, day + 1.0) for day in range(5)]
        ever += any(look.comparisons and look.comparisons[0].state != "open" for look in looks)
        end = judge_preference("new", config(days=5), some, 5.0)
        last += end.comparisons[0].p_value is not None and end.comparisons[0].p_value < 0.05
    assert ever / runs <= 0.05
    assert 0.01 <= last / runs <= 0.1


def test_before_anybody_clicked_it_goes_on() -> None:
    found = judge_preference("new", config(), TeamClicks(), 3.0)
    assert (found.decision, found.comparisons) == ("go on", ())
    assert judge_preference("new", config(), TeamClicks(), 0.3).days == 0


def test_a_click_counts_for_the_team_that_put_the_item_in_and_once() -> None:
    shown = impression(
        1, time=START + 5, user=7, items=(10, 11, 12, 13), shown=(0, 1, 2, 3), arms={"new": INTERLEAVED},
        teams=(0, 1, -1, 1),
    )  # fmt: skip
    plain = impression(2, time=START + 5, user=7, items=(10,), shown=(0,), arms={"new": "control"})
    events = [
        Event("7", item, int(START) + at, kind, None, answer)
        for item, at, kind, answer in (
            ("11", 9, "click", shown.id),
            ("11", 9, "click", shown.id),  # sent again
            ("12", 9, "click", shown.id),  # both put it in
            ("13", 9, "view", shown.id),  # of another kind
            ("10", 2 * DAY, "click", shown.id),  # after the window
            ("99", 9, "click", shown.id),  # was not shown
            ("10", 9, "click", "f" * 24),  # unknown
            ("10", 9, "click", plain.id),
        )
    ]
    joiner = Joiner(events)
    joined = [(one, joiner.rows(one)) for one in (shown, plain)]
    found = team_clicks("new", LiveMetric.parse("click per user"), START, joined)
    assert (found.users, found.teams, found.days) == ([0], [1], [0])


def test_chances_are_how_often_a_draft_comes_out_so() -> None:
    a, b = [1, 2, 3, 4], [2, 5, 1, 6]
    came: dict[tuple[int, ...], int] = {}
    for seed in range(4_000):
        made = drafted(a, b, 5, seed)
        assert (made.items, made.teams) == team_draft(a, b, 5, seed)
        came[tuple(made.items)] = came.get(tuple(made.items), 0) + 1
        chance = float(np.prod(made.chances))
        assert 0 < chance <= 1
    by_list = {tuple(made.items): float(np.prod(made.chances)) for made in
               (drafted(a, b, 5, seed) for seed in range(200))}  # fmt: skip
    assert sum(by_list.values()) == pytest.approx(1)
    assert all(came[one] / 4_000 == pytest.approx(chance, abs=0.04) for one, chance in by_list.items())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": "thompson"}, "weights must be"),
        ({"metric": "value of purchase per user"}, "KIND per user"),
        ({"guardrails": {"empty per answer": 0.0}}, "by its metric alone"),
        ({"arms": {**ARMS, "third": {"share": 0.0, "rerank": {"pool": 9}}}}, "two arms"),
        ({"arms": {"a": {"share": 0.4}, "b": {"share": 0.6, "rerank": {"pool": 20}}}}, "0.5 each"),
        ({"arms": {"a": {"share": 0.5}, "b": {"share": 0.5, "explore": {"epsilon": 0.1}}}}, "not drawn"),
    ],
)
def test_what_cannot_be_interleaved_is_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**more)


def test_clicks_count_within_the_window_of_the_published_bundle(tmp_path: Path) -> None:
    found = []
    for window in ("1d", "7d"):
        store = Store(tmp_path / window)
        with store.writing("shop") as draft:
            described = {"impressions": {"window": window}}
            draft.describe(towers_fingerprint="t", schema_fingerprint="s", config=described)
        store.publish(draft.version)
        start(store, "new", config())
        at = running(store.folder).experiments["new"].at
        answers = [impression(user, time=at + user, user=user, arms={"new": INTERLEAVED}, teams=(0, 1, -1))
                   for user in range(20)]  # fmt: skip
        write_log(store.folder, answers)
        log = open_state(store.folder / "live" / "state.sqlite")
        late = int(at) + 3 * DAY  # the first shown is the control's, the second the other's
        for answer in answers:
            item = "30" if answer.user % 4 else "10"
            log.observe([Event(str(answer.user), item, late, "click", None, answer.id)])
        log.close()
        found.append(judged(store.folder, "new", now=at + 4 * DAY).comparisons)
    assert found[0] == ()
    assert found[1][0].treated == pytest.approx(0.75)
