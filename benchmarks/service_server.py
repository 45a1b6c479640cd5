"""Servers that are measured, as processes on given cores."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.training import environment


@dataclass(frozen=True)
class Running:
    """A server. process: the first of its processes."""

    process: int
    port: int

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        return [worker for parent in self.parents for worker in _children(parent)]

    @property
    def parents(self) -> list[int]:
        """Those that loaded a bundle, and whose children answer."""
        return _children(self.process)


@contextmanager
def funnel_serve(store: Path, workers: int, cores: Sequence[int]) -> Iterator[Running]:
    """`funnel serve`, ready."""
    command = ["funnel", "serve", "--store", str(store), "--port", "0", "--workers", str(workers)]
    with _started(["-m", *command], cores) as process:
        assert process.stderr is not None
        port, said = None, ""
        while port is None and (line := process.stderr.readline()):
            said += line
            port = re.search(r"answers at http://127.0.0.1:(\d+)", line)
        assert port, said
        running = Running(process.pid, int(port[1]))
        _wait(running.port, "GET", "/health/ready")
        yield running


@contextmanager
def fastapi_glue(
    store: Path, version: str, model: Path, peers: Path, cores: Sequence[int]
) -> Iterator[Running]:
    """See `benchmarks.service_glue`."""
    python = environment(peers, "service.txt")
    site = next(python.parents[1].glob("lib/python*/site-packages"))
    port = 8971
    options = ["--store", store, "--version", version, "--model", model, "--peers", site, "--port", port]
    with _started(["-m", "benchmarks.service_glue", *map(str, options)], cores) as process:
        _wait(port, "GET", "/openapi.json", seconds=600)
        yield Running(process.pid, port)


@contextmanager
def _started(arguments: Sequence[str], cores: Sequence[int]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, method: str, path: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            connection = HTTPConnection("127.0.0.1", port)
            connection.request(method, path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def memory(running: Running) -> float:
    """MiB of all processes together, each page that several share counted once (Pss)."""
    every = (running.process, *running.parents, *running.workers)
    return round(sum(_kib(process, "Pss") for process in every) / 1024, 1)


def own_memory(running: Running) -> list[float]:
    """MiB of each worker that no other process has."""
    parts = ("Private_Clean", "Private_Dirty")
    return [round(sum(_kib(worker, part) for part in parts) / 1024, 1) for worker in running.workers]


def processor_seconds(running: Running) -> float:
    """What the processes that answer have used of processors, here and in the system."""
    ticks = 0
    for worker in running.workers or [running.process]:
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(process: int) -> list[int]:
    """Those that run."""
    try:
        return [
            int(number)
            for task in Path(f"/proc/{process}/task").iterdir()
            for number in (task / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return []


def _kib(process: int, what: str) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    found = re.search(rf"^{what}: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
