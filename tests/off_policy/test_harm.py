"""Exploring that does harm is ended, and seldom for nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from funnel import Live
from funnel.artifacts import Store
from funnel.cli import app
from funnel.errors import FunnelError
from funnel.experiments.moments import UserMoments
from funnel.impressions import ImpressionsConfig, answers_folder, read
from funnel.impressions.compact import compact
from funnel.off_policy.harm import Harm, harm, judge_harm
from funnel.pipeline.run.harm import ended_where_harmful
from funnel.serving import switches
from funnel.serving.state import Event, open_state
from tests.impressions.records import impression, write_log
from tests.policies.conftest import exploring, store  # noqa: F401  (fixtures)
from tests.tiny import TinyBuild


def users(rng: np.random.Generator, n: int, rate: float) -> UserMoments:
    """Heavy-tailed: some have many lists, and each likes lists more or less."""
    lists = 1 + rng.geometric(0.2, n)
    return UserMoments.of(rng.binomial(lists, rate * rng.uniform(0.5, 1.5, n)), lists)


def looks(seed: int, loss: float) -> list[Harm]:
    """One a day, of two weeks."""
    rng, found = np.random.default_rng(seed), []
    drawn = others = None
    for _ in range(14):
        some, rest = users(rng, 1_800, 0.2 * (1 - loss)), users(rng, 200, 0.2)
        drawn, others = (some, rest) if drawn is None or others is None else (drawn + some, others + rest)
        found.append(judge_harm(drawn, others, 0.02))
    return found


def test_it_is_seldom_ended_for_nothing_and_always_for_harm() -> None:
    runs = 200
    for_nothing = sum(any(look.is_shown for look in looks(seed, 0.02)) for seed in range(runs))
    assert for_nothing / runs <= 0.05
    assert all(any(look.is_shown for look in looks(seed, 0.25)) for seed in range(30))


def test_few_users_say_nothing() -> None:
    rng = np.random.default_rng(0)
    found = judge_harm(users(rng, 1_000, 0.01), users(rng, 20, 0.6), 0.0)
    assert not found.is_shown
    assert "too few" in found.sentence
    assert judge_harm(None, None, 0.0).users == (0, 0)


def test_answers_whose_callers_gave_a_seed_are_not_compared(store: Path) -> None:  # noqa: F811
    """Neither drawn ones of users whose lists are not drawn, nor the others of those whose are."""
    live = Live(store, impressions=ImpressionsConfig(log=True, sample=0.0))
    answers = live.recommend_many(range(1, 40), k=4)
    drawn = [answer.user_id for answer in answers if answer.policy is not None]
    others = [answer.user_id for answer in answers if answer.policy is None]
    assert live.recommend(others[0], k=4, seed=5).policy is not None
    live.recommend(100, k=4, seed=np.int64(-1))  # type: ignore[arg-type]
    assert live.recording.flush(30)
    state = open_state(store / "live" / "state.sqlite")
    for compacted in (False, True):
        if compacted:
            live.close()
            compact(answers_folder(store))
        assert harm(answers_folder(store), state, allowed=0.1).users == (len(drawn), len(others))
    by_caller = [one for one in read(answers_folder(store)) if one.seed is not None]
    assert [(one.user, one.seed) for one in by_caller] == [(others[0], 5), (100, -1)]


def test_the_command_ends_exploring_where_nobody_likes_drawn_lists(
    store: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(switches, "LOOK", 0.0)
    live = Live(store, impressions=ImpressionsConfig(log=True))
    rng, kept = np.random.default_rng(0), 0
    for answer in live.recommend_many(range(1, 300), k=4):
        rate = 0.05 if answer.policy is not None else 0.9
        events = [(answer.user_id, item.item_id, None, None, None, answer.id) for item in answer.items]
        events = [event for event in events if rng.random() < rate]
        kept += answer.policy is None
        if events:
            live.observe(*events)
    assert kept > 50
    assert live.recording.flush(30)
    arguments = ["explore", "--store", str(store), "--json"]
    looked = CliRunner().invoke(app, arguments)
    assert looked.exit_code == 1
    known = json.loads(looked.stdout)
    assert known["is_shown"]
    assert known["hi"] < -0.2
    assert live.health()["explore"]["drawn"]  # it was looked at only
    assert CliRunner().invoke(app, [*arguments, "--check"]).exit_code == 1
    assert not live.health()["explore"]["drawn"]
    assert "surely less" in live.health()["explore"]["why"]
    assert all(answer.policy is None for answer in live.recommend_many(range(1, 50)))
    assert CliRunner().invoke(app, ["explore", "--store", str(store), "--start"]).exit_code == 0
    assert live.health()["explore"]["drawn"]
    assert CliRunner().invoke(app, ["explore", "--store", str(store), "--stop", "by hand"]).exit_code == 0
    assert live.health()["explore"]["why"] == "by hand"
    live.close()


def test_without_harm_it_goes_on(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True))
    rng = np.random.default_rng(0)
    for answer in live.recommend_many(range(1, 300), k=4):
        for item in answer.items:
            if rng.random() < 0.5:
                live.observe((answer.user_id, item.item_id, None, None, None, answer.id))
    assert live.recording.flush(30)
    live.close()
    state = open_state(store / "live" / "state.sqlite")
    found = harm(answers_folder(store), state, allowed=0.2)
    assert not found.is_shown
    assert found.change == pytest.approx(0, abs=0.3)
    with pytest.raises(FunnelError, match="allowed loss"):
        harm(answers_folder(store), state, allowed=1.0)


@pytest.mark.parametrize(("window", "is_shown"), [("1d", False), ("7d", True)])
def test_what_comes_within_the_window_of_the_published_bundle_counts(
    store: Path,  # noqa: F811
    built: TinyBuild,
    window: str,
    is_shown: bool,
) -> None:
    """For the command by the published bundle, at night by tonight's config."""
    manifest = Store(store).path("current") / "manifest.json"
    described = json.loads(manifest.read_text())
    described["config"].setdefault("impressions", {})["window"] = window
    manifest.write_text(json.dumps(described))
    drawn = {"policy": {"temperature": 0.1, "epsilon": 0.1, "top": 5}, "propensities": (0.5, 0.5, 0.5)}
    shown = time.time() - 3 * 86_400
    answers = [impression(user, time=shown, user=user, **(drawn if user % 2 else {})) for user in range(400)]
    write_log(store, answers)
    log = open_state(store / "live" / "state.sqlite")
    liked = [answer for answer in answers if not answer.policy or answer.user % 20 == 1]
    log.observe([Event(str(one.user), "10", int(time.time()), "click", None, one.id) for one in liked])
    log.close()
    done = CliRunner().invoke(app, ["explore", "--store", str(store), "--json"])
    assert json.loads(done.stdout)["is_shown"] == is_shown, done.stdout
    tonight = built.config.model_copy(update={"impressions": ImpressionsConfig(window=window)})
    (finding,) = ended_where_harmful(Store(store), tonight)
    assert finding.passed != is_shown
