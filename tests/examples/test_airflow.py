"""The DAG of the examples: what it declares, and that its task runs the command and tells failures apart."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from funnel.cli import app
from tests.conftest import ROOT

DAG = ROOT / "examples" / "airflow_dag.py"


class Failed(Exception):
    """As Airflow's: the task is tried again."""


class FailedForGood(Failed):
    """As Airflow's: it is not."""


class Declared:
    """Stands for `airflow.sdk`: keeps what was declared, and calls a DAG's function as Airflow does."""

    def __init__(self) -> None:
        self.dags: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, tuple[dict[str, Any], Callable[..., Any]]] = {}

    def dag(self, **options: Any) -> Any:
        def declare(function: Callable[[], None]) -> Callable[[], None]:
            self.dags[function.__name__] = options
            return function

        return declare

    def task(self, **options: Any) -> Any:
        def declare(function: Callable[..., Any]) -> Callable[..., None]:
            self.tasks[function.__name__] = (options, function)
            return lambda: None

        return declare


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> tuple[Declared, Any]:
    """What the file declares, and the file as a module; with Airflow's names, which need not be installed."""
    found = Declared()
    sdk, exceptions = ModuleType("airflow.sdk"), ModuleType("airflow.sdk.exceptions")
    sdk.__dict__.update(dag=found.dag, task=found.task)
    exceptions.__dict__.update(AirflowException=Failed, AirflowFailException=FailedForGood)
    for stand_in in (ModuleType("airflow"), sdk, exceptions):
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    spec = importlib.util.spec_from_file_location("airflow_dag", DAG)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return found, module


def test_it_declares_one_run_a_night_of_a_command_that_there_is(declared: tuple[Declared, Any]) -> None:
    found, module = declared
    assert found.dags["recommendations"]["max_active_runs"] == 1
    assert found.dags["recommendations"]["catchup"] is False
    assert list(found.tasks) == ["nightly"]
    program, command, config = module.COMMAND
    assert Path(program).name == "funnel"
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert config.endswith(".toml")


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def test_its_task_gives_the_last_line_and_logs_all(
    declared: tuple[Declared, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, module = declared
    with caplog.at_level(logging.INFO):
        assert module.run(shell("pwd; echo training >&2; echo published; echo"), tmp_path) == "published"
    assert [record.getMessage() for record in caplog.records] == [str(tmp_path), "training", "published", ""]


@pytest.mark.parametrize(
    ("text", "again", "message"),
    [
        ("echo gate rows failed; exit 1", False, "gate rows failed"),
        ("echo no such option; exit 2", False, "no such option"),
        ("echo step train; kill -9 $$", True, "killed .* step train"),
        ("exit 137", True, "137"),
    ],
)
def test_only_what_was_killed_is_tried_again(
    declared: tuple[Declared, Any], tmp_path: Path, text: str, again: bool, message: str
) -> None:
    _, module = declared
    with pytest.raises(Failed, match=message) as caught:
        module.run(shell(text), tmp_path)
    assert isinstance(caught.value, FailedForGood) != again


def test_what_funnel_refuses_fails_for_good_with_its_last_line(
    declared: tuple[Declared, Any], tmp_path: Path
) -> None:
    _, module = declared
    with pytest.raises(FailedForGood, match=r"shop\.toml"):
        module.run([sys.executable, "-m", "funnel", "run", "shop.toml"], tmp_path)


def test_a_task_that_is_stopped_stops_its_run(declared: tuple[Declared, Any], tmp_path: Path) -> None:
    """Airflow ends a task by an exception in it, as a time that is over and a person do."""
    _, module = declared
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("an interrupt is for a process of its own: a worker of xdist may take it elsewhere")

    def interrupt() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        module.run(shell("echo $$ > pid; exec sleep 600"), tmp_path)
    pid = int((tmp_path / "pid").read_text())
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    assert not state.strip() or state.startswith("Z")


def test_airflow_itself_takes_it() -> None:
    """Where it is installed."""
    pytest.importorskip("airflow.sdk")
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAG)
    assert not bag.import_errors
    assert list(bag.dags) == ["recommendations"]
