"""What a cluster is started with: each file names only commands and options that there are."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest
import typer

from funnel.cli import app
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml")

FOLDER = ROOT / "examples" / "cluster"


def options(command: str) -> set[str]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {name for parameter in found.params for name in parameter.opts}


def check_run(line: str) -> None:
    words = shlex.split(line)
    assert words[:2] == ["funnel", "run"]
    assert {word for word in words if word.startswith("--")} <= options("run")
    assert "--ray" in words


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text()))


def test_the_job_runs_a_command_that_there_is_on_a_volume_that_all_pods_mount() -> None:
    claim, job = documents()
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    check_run(job["spec"]["entrypoint"])
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    stores = [
        word for word in shlex.split(job["spec"]["entrypoint"]) if word.startswith("/srv/") or "/etc/" in word
    ]
    for pod in pods:
        spec = pod["template"]["spec"]
        (container,) = spec["containers"]
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert {volume["name"] for volume in spec["volumes"]} == set(mounted.values())
        assert all(any(store.startswith(path) for path in mounted) for store in stores)
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]


def test_the_script_says_how_it_is_used_and_runs_a_command_that_there_is() -> None:
    script = FOLDER / "two-hosts.sh"
    told = subprocess.run([script], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    for word in ("head", "worker HEAD", "run CONFIG"):
        assert f"two-hosts.sh {word}" in told.stdout
    (line,) = (line for line in script.read_text().splitlines() if line.strip().startswith("funnel run"))
    check_run(line.strip())
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
