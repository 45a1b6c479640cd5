"""What is wrong with today's data holds tonight's bundle; where nobody looked, it passes and says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from funnel.artifacts import Store
from funnel.cli import app
from funnel.gates.config import GatesConfig
from funnel.gates.monitor import watched
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.files import ACCEPTED, ALARMS, monitor_folder, write
from funnel.monitoring.watching import accepted

OF_DATA = Alarm(
    "join", "", 0.0, 1.0, 1e-9, "answers of which no feedback comes: 99.0%, at most 60.0% is right"
)
OF_PROCESS = Alarm("golden", "served", 0.0, 1.0, 1e-9, "46 of 150 answers are not those of the bundle")


def verdict(store: Path, *alarms: Alarm, at: float | None = None) -> None:
    raw = {"at": time.time() if at is None else at, "version": "v", "alarms": [a.to_dict() for a in alarms]}
    write(monitor_folder(store) / ALARMS, raw)


def test_without_a_monitor_it_passes_and_says_so(tmp_path: Path) -> None:
    finding = watched(Store(tmp_path), GatesConfig())
    assert finding.passed
    assert "no monitor has looked" in finding.sentence


def test_lost_feedback_holds_a_bundle_and_a_bad_process_does_not(tmp_path: Path) -> None:
    verdict(tmp_path, OF_PROCESS)
    assert watched(Store(tmp_path), GatesConfig()).passed
    verdict(tmp_path, OF_PROCESS, OF_DATA)
    finding = watched(Store(tmp_path), GatesConfig())
    assert not finding.passed
    assert "join" in finding.sentence
    assert "golden" not in finding.sentence
    assert watched(Store(tmp_path), GatesConfig(monitor_alarms=1)).passed


def test_hints_are_told_and_hold_nothing(tmp_path: Path) -> None:
    verdict(tmp_path, Alarm("drift", "price", 0.0, 1.0, 1e-9, "another distribution than in the first days"))
    finding = watched(Store(tmp_path), GatesConfig())
    assert finding.passed
    assert "hints that do not count (drift price)" in finding.sentence


def test_what_was_wrong_two_days_ago_says_nothing_of_today(tmp_path: Path) -> None:
    verdict(tmp_path, OF_DATA, at=time.time() - 2 * 86_400)
    finding = watched(Store(tmp_path), GatesConfig())
    assert finding.passed
    assert "48 hours ago" in finding.sentence


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"at": 1e99, "alarms": [{"kind": "none"}]}'])
def test_a_verdict_that_cannot_be_read_holds(text: str, tmp_path: Path) -> None:
    path = monitor_folder(tmp_path) / ALARMS
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert not watched(Store(tmp_path), GatesConfig()).passed


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["monitor", *arguments])
    return result.exit_code, result.stdout


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    assert command("--store", str(tmp_path))[0] == 0
    verdict(tmp_path)
    code, text = command("--store", str(tmp_path))
    assert code == 0
    assert "nothing is wrong" in text
    verdict(tmp_path, OF_DATA)
    code, text = command("--store", str(tmp_path))
    assert code == 1
    assert "join" in text
    code, text = command("--store", str(tmp_path), "--json")
    assert code == 1
    assert '"key": "join"' in text


def test_a_monitor_that_looks_no_more_is_no_sign_that_all_is_well(tmp_path: Path) -> None:
    verdict(tmp_path, at=time.time() - 3600)  # looks are as far apart at most
    assert command("--store", str(tmp_path))[0] == 0
    verdict(tmp_path, at=time.time() - 3 * 3600)
    done = CliRunner().invoke(app, ["monitor", "--store", str(tmp_path)])
    assert done.exit_code == 1
    assert "no monitor has looked for 3 hours" in done.stderr
    assert command("--store", str(tmp_path), "--json")[0] == 1


def test_what_is_accepted_is_kept_for_the_next_look(tmp_path: Path) -> None:
    part = Alarm("unknown", "", 0.0, 1.0, 1e-9, "users that the bundle does not know", "country=DE")
    verdict(tmp_path, OF_DATA, part, Alarm("drift", "context price", 0.0, 1.0, 1e-9, "another distribution"))
    names = ["drift context price", "join", "unknown country=DE"]
    for name in names:
        assert command("--store", str(tmp_path), "--accept", name)[0] == 0
    assert accepted(monitor_folder(tmp_path) / ACCEPTED) == names
    for name in ("jion", "unknown", "unknown country=FR"):
        done = CliRunner().invoke(app, ["monitor", "--store", str(tmp_path), "--accept", name])
        assert done.exit_code == 1
        assert f"no alarm is called '{name}'" in str(done.exception)
    assert accepted(monitor_folder(tmp_path) / ACCEPTED) == names
