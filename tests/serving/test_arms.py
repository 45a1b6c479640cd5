"""Each user gets their arm's answers, in every process, and what cannot be run is not run, and said."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.assignment import Assignment
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import RUNNING, start, stop
from funnel.serving import arms as serving_arms
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild

USERS = range(1, 41)


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def experiment(treated: dict[str, Any], **more: Any) -> ExperimentConfig:
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, **treated}}
    return ExperimentConfig.model_validate({"arms": arms, **more})


def items(answer: Any) -> list[Any]:
    return [one.item_id for one in answer.items]


def expected(name: str, user: int) -> str | None:
    return Assignment(name, {"control": 0.5, "treated": 0.5}).arm(str(user))


def test_every_user_gets_what_their_arms_bundle_answers_alone(store: Store) -> None:
    other = without_ranker(store)
    alone = {"control": Live(store), "treated": Live(store, other)}
    start(store, "order", experiment({"bundle": other}))
    live = Live(store)
    seen = set()
    for user in USERS:
        answer = live.recommend(user)
        arm = answer.arms["order"]
        seen.add(arm)
        assert arm == expected("order", user)
        assert (items(answer), answer.version) == (items(alone[arm].recommend(user)), alone[arm].version)
        assert items(live.rank(user, [1, 2, 3, 4])) == items(alone[arm].rank(user, [1, 2, 3, 4]))
    assert seen == {"control", "treated"}


def test_many_at_once_are_answered_as_one_by_one(store: Store) -> None:
    start(store, "order", experiment({"bundle": without_ranker(store)}))
    live = Live(store)
    together = live.recommend_many(list(USERS))
    assert [(items(one), one.arms) for one in together] == [
        (items(one), one.arms) for one in map(live.recommend, USERS)
    ]
    assert live.recommend_many([]) == []


def test_an_arm_may_set_stages_of_the_published_bundle_anew(store: Store) -> None:
    plain = Live(store)
    start(store, "diverse", experiment({"rerank": {"trade_off": 0.3}}))
    live = Live(store)
    changed = [user for user in USERS if items(live.recommend(user)) != items(plain.recommend(user))]
    assert changed
    assert all(expected("diverse", user) == "treated" for user in changed)
    assert {live.recommend(user).version for user in USERS} == {plain.version}


def test_an_arm_may_explore_where_the_bundle_does_not(store: Store) -> None:
    start(store, "drawn", experiment({"explore": {"temperature": 0.3, "top": 20}}))
    live = Live(store)
    for user in USERS:
        answer = live.recommend(user)
        drawn = expected("drawn", user) == "treated"
        assert (answer.policy is not None) == drawn
        assert any(item.propensity < 1 for item in answer.items) == drawn
        if answer.policy is not None:
            assert (answer.policy.temperature, answer.policy.epsilon, answer.policy.top) == (0.3, 0.0, 20)
            assert items(live.recommend(user, seed=answer.policy.seed)) == items(answer)


def test_two_layers_together_each_have_their_say(store: Store) -> None:
    other = without_ranker(store)
    start(store, "order", experiment({"bundle": other}))
    start(store, "diverse", experiment({"rerank": {"trade_off": 0.3}}, layer="stages"))
    live = Live(store)
    both = {(one.arms["order"], one.arms["diverse"], one.version) for one in map(live.recommend, USERS)}
    versions = {"control": live.version, "treated": other}
    assert both == {(a, b, versions[a]) for a in ("control", "treated") for b in ("control", "treated")}


def test_who_is_nobody_or_excluded_is_in_no_arm(store: Store) -> None:
    start(store, "order", experiment({"bundle": without_ranker(store)}, exclude=[7, "8"]))
    live = Live(store)
    assert [live.recommend(user).arms for user in (None, 7, "7", 8)] == [{}] * 4
    assert live.recommend("9").arms == live.recommend(9).arms != {}


def test_what_is_observed_and_changed_counts_in_every_arm(store: Store) -> None:
    other = without_ranker(store)
    start(store, "order", experiment({"bundle": other}))
    live = Live(store)
    user = next(user for user in USERS if expected("order", user) == "treated")
    best = items(live.recommend(user))
    live.observe((user, best[0]))
    live.items.delete([best[1]])
    after = live.recommend(user)
    assert after.version == other
    assert not {best[0], best[1]} & set(items(after))


def wait(until: Callable[[], bool]) -> None:
    for _ in range(600):
        if until():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_a_process_that_serves_takes_up_what_is_started_and_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_arms, "LOOK", 0.0)
    live = Live(store)
    assert live.recommend(1).arms == {}
    start(store, "order", experiment({"bundle": without_ranker(store)}))
    wait(lambda: live.recommend(1).arms != {})
    assert live.health()["experiments"]["running"]["order"]["arms"] == {"control": 0.5, "treated": 0.5}
    stop(store, "order")
    wait(lambda: live.recommend(1).arms == {})
    assert live.health()["experiments"]["bundles"] == []


def test_a_damaged_file_stops_all_and_health_says_why(store: Store) -> None:
    start(store, "order", experiment({"bundle": without_ranker(store)}))
    live = Live(store)
    (store.folder / RUNNING).write_text("{")
    live.refresh()
    assert {one.version for one in map(live.recommend, USERS)} == {live.version}
    assert "is damaged" in live.health()["experiments"]["error"]


def test_an_arm_that_went_away_stops_its_experiment_alone(store: Store) -> None:
    other = without_ranker(store)
    start(store, "order", experiment({"bundle": other}))
    start(store, "diverse", experiment({"rerank": {"trade_off": 0.3}}, layer="stages"))
    shutil.rmtree(store.folder / other)
    live = Live(store)
    assert {tuple(one.arms) for one in map(live.recommend, USERS)} == {("diverse",)}
    assert (
        f"'order' does not run: {store.folder} has no version {other!r}"
        in live.health()["experiments"]["error"]
    )


def test_arms_are_said_over_http_too(store: Store) -> None:
    start(store, "order", experiment({"bundle": without_ranker(store)}))
    answer = Live(store).recommend(1)
    assert answer.to_dict()["arms"] == dict(answer.arms)
