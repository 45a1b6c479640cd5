"""Publishing by hand waits for experiments on bundles, as the nightly run does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from funnel.artifacts import Store, remote
from funnel.cli import app
from funnel.errors import GateError
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import RUNNING, running, start, stop
from funnel.gates import publish, rollback
from tests.experiments.test_evidence import LENIENT
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def begun(store: Store, other: str) -> None:
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "bundle": other}}
    start(store, "towers", ExperimentConfig.model_validate({"arms": arms}))


def test_a_running_experiment_holds_before_anything_is_judged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, other = store.current(), without_ranker(store)
    begun(store, other)
    module = sys.modules["funnel.gates.publish"]  # the package has a function of that name
    monkeypatch.setattr(module, "judge", lambda *_: pytest.fail("work was spent"))
    with pytest.raises(GateError, match="experiment 'towers' runs on bundles") as refused:
        publish(store, other)
    assert refused.value.verdict.failed_gates == ("experiments",)
    assert store.current() == before


def test_the_command_names_it_and_force_publishes(store: Store) -> None:
    other = without_ranker(store)
    begun(store, other)
    where = ["--store", str(store.folder)]
    held = CliRunner().invoke(app, ["publish", other, *where])
    assert held.exit_code != 0
    assert "'towers'" in str(held.exception)
    forced = CliRunner().invoke(app, ["publish", other, *where, "--force"])
    assert forced.exit_code == 0, forced.output
    assert store.current() == other
    last = store.publications()[-1]
    assert last.forced
    assert "experiments" in {finding["gate"] for finding in last.gates if not finding["passed"]}
    assert set(running(store.folder).experiments) == {"towers"}


def test_rollback_is_held_alike(store: Store) -> None:
    before, other = store.current(), without_ranker(store)
    store.publish(other)
    begun(store, before)
    where = ["--store", str(store.folder)]
    held = CliRunner().invoke(app, ["rollback", *where])
    assert held.exit_code != 0
    assert "'towers'" in str(held.exception)
    assert store.current() == other
    forced = CliRunner().invoke(app, ["rollback", *where, "--force"])
    assert forced.exit_code == 0, forced.output
    assert store.current() == before
    last = store.publications()[-1]
    assert (last.action, last.forced) == ("rollback", True)
    assert {finding["gate"] for finding in last.gates} == {"experiments"}


def test_without_an_experiment_a_rollback_is_nothing_that_was_forced(store: Store) -> None:
    before = store.current()
    store.publish(without_ranker(store))
    assert rollback(store, force=True) == before
    last = store.publications()[-1]
    assert (last.action, last.forced, last.gates) == ("rollback", False, ())


def test_pull_is_held_alike_and_what_was_copied_stays(store: Store, tmp_path: Path) -> None:
    before, other = store.current(), without_ranker(store)
    remote.push(store, str(tmp_path / "elsewhere"), other)
    begun(store, other)
    pull = ["pull", str(tmp_path / "elsewhere"), "--store", str(store.folder)]
    held = CliRunner().invoke(app, pull)
    assert held.exit_code != 0
    assert "'towers'" in str(held.exception)
    assert store.current() == before
    forced = CliRunner().invoke(app, [*pull, "--force"])
    assert forced.exit_code == 0, forced.output
    assert store.current() == other
    assert store.publications()[-1].forced


def test_what_is_published_already_and_experiments_on_stages_hold_nothing(store: Store) -> None:
    other = without_ranker(store)
    begun(store, other)
    publish(store, store.current(), config=LENIENT)
    stop(store, "towers")
    arms = {"control": {"share": 0.5}, "treated": {"share": 0.5, "rerank": {"trade_off": 0.5}}}
    start(store, "stages", ExperimentConfig.model_validate({"arms": arms}))
    publish(store, other, config=LENIENT)
    assert store.current() == other


def test_a_damaged_file_of_experiments_holds(store: Store) -> None:
    other = without_ranker(store)
    (store.folder / RUNNING).write_text("{")
    with pytest.raises(GateError, match="is damaged"):
        publish(store, other, config=LENIENT)
