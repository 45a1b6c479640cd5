"""Python in a process of its own, forked from one that has the libraries loaded.

To load them takes longer than most commands do. Nothing else differs from a process that was started from
nothing: a test of what is loaded, or of what happens when something cannot be, starts one itself.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import IO

#: What commands load, and what they load later: what optimizers of torch take, and LightGBM's optional parts.
LOADED = [
    "tests.processes", "funnel.cli", "funnel.show", "funnel.serving.live", "funnel.gates.diff",
    "funnel.pipeline", "funnel.bench", "funnel.tune", "funnel.pipeline.run",
    "funnel.towers.training.warm", "funnel.towers.training.export", "lightgbm", "torch._dynamo",
    "onnxruntime", "matplotlib.figure", "jinja2", "tests.preloaded",
]  # fmt: skip

#: A line that says how far a command is, where there is no terminal.
STEP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")


def context() -> ForkServerContext:
    """Of the process that is forked: one for each worker of a test run, started when it is not there."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(LOADED)
    forkserver.ensure_running()
    return server


@dataclass(frozen=True)
class Started:
    """A process that may still run."""

    process: ForkServerProcess
    said: tempfile.TemporaryDirectory[str]
    arguments: tuple[str, ...]

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def printed(self) -> str:
        """What it has printed until now."""
        path = Path(self.said.name, "stdout")
        return path.read_text() if path.exists() else ""

    def stderr(self) -> IO[str]:
        """Of one that was started to be heard: its lines as they come."""
        return Path(self.said.name, "stderr").open()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """At once, by SIGKILL."""
        self.process.kill()
        self.process.join()

    def wait(self, seconds: float = 240) -> int:
        """Wait for its end. Returns its exit code, or less than 0 for a signal. Raises:
        subprocess.TimeoutExpired."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.kill()
            raise subprocess.TimeoutExpired(self.arguments, seconds)
        return int(self.process.exitcode or 0)

    def ended(self, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for its end. Raises: subprocess.TimeoutExpired."""
        code = self.wait(seconds)
        out, err = (Path(self.said.name, name).read_text() for name in ("stdout", "stderr"))
        self.said.cleanup()
        return subprocess.CompletedProcess(self.arguments, code, out, err)


def start(
    *arguments: object,
    cwd: Path | None = None,
    before: Callable[[], object] | None = None,
    heard: bool = False,
    **env: str,
) -> Started:
    """As `python ARGUMENTS`, which are -m MODULE, -c CODE or a file, and the program's own.

    before: called in the process before anything else; a function of a module, or a partial of one. heard: it
    waits until its stderr is read, which nothing keeps. env: beside what is in the environment here.
    """
    said = tempfile.TemporaryDirectory()
    if heard:
        os.mkfifo(Path(said.name, "stderr"))
    given, around = tuple(map(str, arguments)), os.environ | {"COLUMNS": "120"} | env
    process = context().Process(
        target=_python, args=(given, str(cwd or Path.cwd()), said.name, around, before)
    )
    process.start()
    return Started(process, said, given)


def python(
    *arguments: object, cwd: Path | None = None, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """`start`, to its end."""
    return start(*arguments, cwd=cwd, before=before).ended()


def funnel(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command of the command line."""
    return python("-m", "funnel", *arguments, cwd=cwd)


def ok(*arguments: object) -> str:
    """What a command that does its work prints."""
    done = funnel(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: object) -> str:
    """The message of a command that refuses, on one line."""
    done = funnel(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if not STEP.match(line))
    assert said.startswith("error ")
    return " ".join(said.split())


def _python(
    arguments: tuple[str, ...],
    cwd: str,
    said: str,
    env: dict[str, str],
    before: Callable[[], object] | None,
) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(said, name), os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if before is not None:
        before()
    how, *rest = arguments
    if how == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(how, run_name="__main__")
