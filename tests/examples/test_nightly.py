"""The units of the examples are units, and run a command that there is."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from funnel.cli import app
from tests.conftest import ROOT

FOLDER = ROOT / "examples"
UNITS = ("funnel-run.service", "funnel-run.timer", "funnel-run-failed.service")


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string((FOLDER / name).read_text())
    return found


def test_the_service_runs_a_command_that_there_is() -> None:
    service = unit("funnel-run.service")
    program, command, config = shlex.split(service["Service"]["ExecStart"])
    assert Path(program).name == "funnel"
    assert command in typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert config.endswith(".toml")
    assert service["Unit"]["OnFailure"] in UNITS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this system has no systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With programs and a user that are on this machine."""
    for name in UNITS:
        lines = (FOLDER / name).read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("User=", "WorkingDirectory="))]
        starts = ["ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in kept]
        (tmp_path / name).write_text("\n".join(starts))
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
