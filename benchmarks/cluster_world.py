"""A cluster of two machines on one, runs of the command on it, and what can be killed meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

#: Bytes of each machine's memory for results.
_STORE = 100 * 2**20
#: Seconds within which a run must end.
_PATIENCE = 1200

CONFIG = """name = "movies"
seed = {seed}
[data]
reader = "movielens"
path = "{data}"
[split]
kind = "time"
protocol = "event"
ranker = 0.6
test = 0.8
[towers]
d = 8
layers = 1
heads = 1
epochs = {epochs}
history = 20
loss = "sampled_softmax"
dropout = 0.0
id_dropout = 0.0
[index]
spec = "IVF4,Flat"
shards = 3
[ranker]
trees = 20
leaves = 15
lists = 800
objective = "rank_xendcg"
[retrieve]
k = 50
[evaluate]
ks = [10, 50]
latency_requests = 2
[gates]
holdout = 200
latency_ms = 10000.0
visible_fall = 1.0
baseline_fall = 1.0
[scale]
item_shards = {shards}
list_shards = {shards}
workers = {workers}
seconds = 600
"""


class TwoMachines:
    """Two machines of a cluster, made on this one. cores: of each."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        head = {"num_cpus": cores, "object_store_memory": _STORE, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._second = self._another()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def lose_one(self) -> None:
        """At once, as a machine without power."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def whole_again(self) -> None:
        self._second = self._another()

    def end(self) -> None:
        self._cluster.shutdown()

    def _another(self) -> Any:
        return self._cluster.add_node(num_cpus=self._cores, object_store_memory=_STORE)


def workers_at_work() -> list[int]:
    """Processes that do a part now: Ray names them after it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith((b"ray::_done", b"ray::_Process")):
            found.append(int(folder.name))
    return found


class Runs:
    """Runs of one config on one store. folder: has `indexes`, `embeddings` and the config."""

    def __init__(self, folder: Path, data: Path, **settings: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(CONFIG.format(data=data, **settings))

    def copy_to(self, folder: Path) -> Runs:
        """The same, with everything that is there, elsewhere."""
        for path in self.folder.iterdir():
            if path.name in ("out", "err"):
                continue
            target = folder / path.name
            shutil.copytree(path, target) if path.is_dir() else shutil.copyfile(path, target)
        other = object.__new__(Runs)
        other.folder = folder
        return other

    def anew_in(self, folder: Path) -> Runs:
        """The same config elsewhere, and nothing that was made."""
        shutil.copyfile(self.folder / "config.toml", folder / "config.toml")
        other = object.__new__(Runs)
        other.folder = folder
        return other

    def start(
        self, address: str | None, from_step: str | None = None, before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """The command, in a process of its own. before: what stands before it."""
        command = [*before, sys.executable, "-m", "funnel", "run", "config.toml", "--json"]
        command += ["--store", "indexes", "--embeddings", "embeddings"]
        command += ["--ray", address] if address else []
        command += ["--from", from_step] if from_step else []
        with (self.folder / "out").open("a") as out, (self.folder / "err").open("a") as err:
            return subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=err, text=True)

    def run(
        self, address: str | None, from_step: str | None = None, before: Sequence[str] = ()
    ) -> dict[str, str]:
        """To its end: `outputs`."""
        return self.ended(self.start(address, from_step, before))

    def ended(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """`outputs`. Raises: RuntimeError with what it said where it failed."""
        if process.wait(_PATIENCE) != 0:
            raise RuntimeError((self.folder / "err").read_text()[-3000:])
        return self.outputs()

    def outputs(self) -> dict[str, str]:
        """The fingerprint that each step's result has."""
        results = (self.folder / "indexes" / ".runs").glob("*/*/step.json")
        found = [json.loads(path.read_text()) for path in results]
        return {result["step"]: result["output"] for result in found}

    def facts(self, step: str) -> dict[str, Any]:
        """Figures of a step's result."""
        (path,) = (self.folder / "indexes" / ".runs").glob(f"*/{step}-*/step.json")
        facts: dict[str, Any] = json.loads(path.read_text())["facts"]
        return facts

    def epochs(self) -> int:
        """Epochs that process 0 has trained in all runs, by what it said."""
        return len(re.findall(r"epoch \d+: loss", (self.folder / "err").read_text()))

    def wait_for(self, step: str, process: subprocess.Popen[str], lines: int) -> None:
        """Until a step has begun in this run. lines: that the log of runs had before it."""
        while process.poll() is None:
            entries = self.journal()[lines:]
            if any(entry["step"] == step for entry in entries):
                return
            time.sleep(0.01)
        raise RuntimeError(f"{step} did not begin: {(self.folder / 'err').read_text()[-2000:]}")

    def wait_for_epochs(self, epochs: int, process: subprocess.Popen[str]) -> None:
        """Until the towers were trained for so many."""
        while process.poll() is None and self.epochs() < epochs:
            time.sleep(0.005)

    def journal(self) -> list[dict[str, Any]]:
        """Lines of the log of runs."""
        path = self.folder / "indexes" / "RUNS.jsonl"
        whole = []
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                whole.append(json.loads(line))
            except ValueError:  # being written
                continue
        return whole

    def leftovers(self) -> list[str]:
        """Hidden drafts that nobody holds any more are gone with the next run; results without an end are
        not there at all."""
        folders = (self.folder / "indexes" / ".runs").glob("*/*-*")
        return [path.name for path in folders if path.is_dir() and not _whole(path)]


def _whole(path: Path) -> bool:
    return path.name.startswith((".", "checkpoint")) or (path / "step.json").exists()


def kill_worker(step: str, runs: Runs, process: subprocess.Popen[str]) -> str:
    """One that does a part of the step. Returns what was hit."""
    before = len(runs.journal())
    while process.poll() is None and len(runs.journal()) == before:
        if pids := workers_at_work():
            try:
                os.kill(pids[-1], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return "a worker"
        time.sleep(0.005)
    return "nobody: the step had no part at work"


def kill_driver(step: str, runs: Runs, process: subprocess.Popen[str]) -> str:
    """The command itself."""
    time.sleep(0.3)
    process.kill()
    process.wait()
    return "the driver"


Kill = Callable[[str, Runs, "subprocess.Popen[str]"], str]
