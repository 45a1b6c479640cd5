"""What is wrong with an experiment is named before it starts; what runs is one file that fails closed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel import config
from funnel.artifacts import Store
from funnel.artifacts.retention import retain
from funnel.errors import BundleError, ConfigError
from funnel.experiments.assignment import Assignment, point
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.history import HISTORY
from funnel.experiments.linking import link_equal_files
from funnel.experiments.running import (
    RUNNING,
    arm_bundles,
    running,
    start,
    started_once,
    stop,
    stop_all,
)
from tests.experiments.stores import halves, two_bundles, version

USERS = [str(user) for user in range(20_000)]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"arms": {"a": {"share": 0.5}, "b": {"share": 0.4, "rerank": {"pool": 9}}}}, "add up to 0.9"),
        ({"arms": {"a": {"share": 1.0}}}, "1 arms: a control"),
        ({"arms": {"a": {"share": 0}, "b": {"share": 1, "bundle": "x"}}}, "'a', is the control"),
        ({"arms": {"a": {"share": 0.5}, "b": {"share": 0.5}}}, "are the same"),
        ({"arms": {"a": {"share": 0.5}, "b": {"share": 0.5, "rerank": {"trade": 1}}}}, "arms.b"),
        ({"arms": {"a": {"share": 0.5}, "b": {"share": 0.5, "retrieve": {"sources": []}}}}, "sources"),
        ({"metric": "clicks"}, "'clicks' is no metric"),
        ({"metric": "value of milliseconds per answer"}, "only events have a value"),
        ({"guardrails": {"milliseconds per answer": 1.5}}, "margin"),
        ({"arms": {"a/b": {"share": 0.5}, "b": {"share": 0.5, "bundle": "x"}}}, "experiments.new.arms"),
        ({"ramp": 0}, "ramp"),
        ({"salts": "x"}, "salts"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_named_with_its_key(experiment: dict[str, Any], message: str) -> None:
    arms = {"a": {"share": 0.5}, "b": {"share": 0.5, "bundle": "x"}}
    with pytest.raises(ConfigError, match=r"experiments\.new") as refused:
        config.configure("shop", experiments={"new": {"arms": arms, **experiment}})
    assert message in str(refused.value)


def test_an_experiment_is_no_part_of_what_a_bundle_is() -> None:
    arms = {"a": {"share": 0.5}, "b": {"share": 0.5, "bundle": "x"}}
    made = config.configure("shop", experiments={"new": {"arms": arms}})
    assert made.experiments["new"].control == "a"
    assert "experiments" not in made.model_dump()


def test_an_arm_whose_bundle_is_gone_is_named_and_nothing_starts(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    shutil.rmtree(store.folder / second)
    with pytest.raises(ConfigError, match=f"experiments.new.arms.treated: .*{second}"):
        start(store, "new", halves(second))
    assert running(store.folder).experiments == {}
    assert not (store.folder / HISTORY).exists()


def test_an_arm_whose_bundle_is_damaged_is_named(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    (store.folder / second / "own.txt").write_text("else")
    with pytest.raises(ConfigError, match=r"arms.treated: .*own.txt was changed"):
        start(store, "new", halves(second))


def test_two_experiments_on_one_layer_are_refused_and_so_are_two_that_decide_on_one_thing(
    tmp_path: Path,
) -> None:
    store, _, second = two_bundles(tmp_path)
    start(store, "new", halves(second))
    stages = {"a": {"share": 0.5}, "b": {"share": 0.5, "rerank": {"trade_off": 0.8}}}
    with pytest.raises(ConfigError, match="both on layer 'main'"):
        start(store, "other", ExperimentConfig.model_validate({"arms": stages}))
    with pytest.raises(ConfigError, match="both decide on 'bundle'"):
        start(store, "other", halves(second, layer="other"))
    start(store, "other", ExperimentConfig.model_validate({"arms": stages, "layer": "other"}))
    assert set(running(store.folder).experiments) == {"new", "other"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"salt": "else"}, "users would change arms"),
        ({"metric": "click per answer"}, r"experiments.new.metric is not"),
        ({"ramp": 0.1}, "may only grow"),
        ({"days": 3}, r"experiments.new.days is not"),
    ],
)
def test_what_runs_does_not_change_midway(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    store, _, second = two_bundles(tmp_path)
    before = start(store, "new", halves(second, ramp=0.5))
    with pytest.raises(ConfigError, match=message):
        start(store, "new", halves(second, **{"ramp": 0.5, **changed}))
    assert running(store.folder).experiments == {"new": before}
    grown = start(store, "new", halves(second, ramp=1.0))
    assert (grown.at, grown.config.ramp) == (before.at, 1.0)


def test_a_name_is_one_experiment_for_good(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    first = start(store, "new", halves(second))
    stop(store, "new")
    assert running(store.folder).experiments == {}
    assert started_once(store.folder, "new") == first
    with pytest.raises(ConfigError, match="choose another"):
        start(store, "new", halves(second))
    with pytest.raises(ConfigError, match="no experiment 'new' runs"):
        stop(store, "new")


@pytest.mark.parametrize("text", ["", "{", '{"experiments": {"a": 1}}', "\0" * 99])
def test_a_damaged_file_runs_nothing_says_so_and_can_be_replaced(tmp_path: Path, text: str) -> None:
    store, _, second = two_bundles(tmp_path)
    start(store, "new", halves(second))
    (store.folder / RUNNING).write_text(text)
    with pytest.raises(BundleError, match="is damaged"):
        running(store.folder)
    assert arm_bundles(store.folder) == []
    stop_all(store)
    assert running(store.folder).experiments == {}


def test_two_on_one_layer_in_the_file_are_damage(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    start(store, "new", halves(second))
    found = json.loads((store.folder / RUNNING).read_text())
    found["experiments"]["other"] = found["experiments"]["new"]
    (store.folder / RUNNING).write_text(json.dumps(found))
    with pytest.raises(BundleError, match="both on layer"):
        running(store.folder)


def test_a_torn_line_of_the_history_costs_that_line(tmp_path: Path) -> None:
    store, _, second = two_bundles(tmp_path)
    start(store, "new", halves(second, ramp=0.5))
    with (store.folder / HISTORY).open("ab") as file:
        file.write(b'{"action": "st')
    start(store, "new", halves(second, ramp=0.7))
    kept = started_once(store.folder, "new")
    assert kept is not None
    assert kept.config.ramp == 0.7


def test_bundles_of_arms_are_kept(tmp_path: Path) -> None:
    store, first, second = two_bundles(tmp_path)
    start(store, "new", halves(second))
    for number in range(3):
        last = version(store, f"later {number}")
    assert set(retain(store, 1, also=arm_bundles(store.folder))).isdisjoint({first, second, last})


def test_equal_files_are_one_and_both_bundles_stay_whole(tmp_path: Path) -> None:
    store, first, second = two_bundles(tmp_path)
    files = [store.folder / name / "vectors.npy" for name in (first, second)]
    assert not files[0].samefile(files[1])
    start(store, "new", halves(second))
    assert files[0].samefile(files[1])
    assert not (store.folder / first / "own.txt").samefile(store.folder / second / "own.txt")
    for name in (first, second):
        store.verify(name)
    assert link_equal_files(store, [first, second]) == 0


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 9), min_size=2, max_size=5), st.text())
def test_everybody_is_in_one_arm_always_the_same(weights: dict[str, int], salt: str) -> None:
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    once, again = (Assignment(salt, shares) for _ in range(2))
    assert all(once.arm(user) == again.arm(user) in weights for user in USERS[:200])


def test_shares_are_kept_to_and_an_arm_without_one_has_nobody() -> None:
    shares = {"control": 0.6, "shadow": 0.0, "treated": 0.4}
    found = [Assignment("s", shares).arm(user) for user in USERS]
    assert set(found) == {"control", "treated"}
    assert found.count("treated") / len(USERS) == pytest.approx(0.4, abs=0.015)


def test_who_is_in_stays_in_their_arm_while_the_ramp_grows() -> None:
    shares = {"a": 0.5, "b": 0.5}
    before, after = (Assignment("s", shares, ramp, ["7"]) for ramp in (0.2, 0.7))
    arms = {user: before.arm(user) for user in USERS}
    assert sum(arm is not None for arm in arms.values()) / len(USERS) == pytest.approx(0.2, abs=0.02)
    assert all(after.arm(user) == arm for user, arm in arms.items() if arm is not None)
    inside = [arm for arm in arms.values() if arm is not None]
    assert inside.count("a") / len(inside) == pytest.approx(0.5, abs=0.04)
    assert Assignment("s", shares, 1.0, ["7"]).arm("7") is None


def test_two_layers_do_not_interfere() -> None:
    """Of those in one arm of one, as many are in each arm of the other."""
    one, other = (Assignment(salt, {"a": 0.5, "b": 0.5}) for salt in ("one", "other"))
    both = [(one.arm(user), other.arm(user)) for user in USERS]
    assert all(abs(both.count(pair) / len(USERS) - 0.25) < 0.015 for pair in set(both))
    assert len({point("one", user) for user in USERS}) == len(USERS)


def test_versions_are_listed_without_the_files_of_experiments(tmp_path: Path) -> None:
    store, first, second = two_bundles(tmp_path)
    start(store, "new", halves(second))
    assert {manifest.version for manifest in Store(store.folder).versions()} == {first, second}
