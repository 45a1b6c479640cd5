"""What the log of answers, drawn lists and arms cost a request, and how long a line of the log is.

    python -m benchmarks.evidence cost

One process answers the same users in blocks that take turns: without any of it, with the log, with the log
and arms, and with the log, arms and drawn lists. What is told is the median of the differences of the same
user's request with and without, and its 95% interval over blocks drawn again. A block of the log ends when
all of it is written, so that what its thread takes from requests is in its own time. Beside it: what handing
an answer over takes by itself, what the thread works for one, and requests while the disk does not answer.
The arms are two bundles that differ by their names alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.derived import derive
from benchmarks.serving import save
from benchmarks.swaps_world import editions
from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start
from funnel.impressions import ImpressionsConfig, answers_folder, as_line, read
from funnel.impressions.hour_file import HourFile
from funnel.impressions.writer import Writer
from funnel.policies.config import Drawing
from funnel.serving.exploring import set_exploring
from funnel.serving.recording import Recording

BLOCK, K = 25, 10
LOG = ImpressionsConfig(log=True, candidates=50)

#: What is on in each way, one more than in the way before.
WAYS = ("without", "log", "log, arms", "log, arms, drawn")


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    with tempfile.TemporaryDirectory(prefix="funnel-cost-") as place:
        lives = _lives(Path(place), items=2_000 if quick else 50_000)
        differences = _in_turns(lives, 12 if quick else 240)
        about = {
            "items": len(lives["log"].contents.catalogue.ids),
            "microseconds more at p50": differences,
            "handing over": _handing_over(lives["log"], 200 if quick else 5_000),
            "bytes": {name: _bytes(live) for name, live in lives.items() if name != "without"},
            "dropped": {name: live.health()["impressions"]["dropped"] for name, live in lives.items()},
            "a disk that does not answer": _hanging(lives["log"], 200 if quick else 2_000),
        }
        for live in lives.values():
            live.close()
    Console().print_json(data=about)
    if not quick:
        save("evidence-cost", {**about, "shared_machine": True}, results)


def _lives(work: Path, items: int) -> dict[str, Live]:
    """One bundle, which may draw lists, in a store for each way."""
    first, _ = editions(work, items=items, trees=100)
    store = Store(work / "indexes")
    drawing = Drawing(temperature=0.05, epsilon=0.02, top=50)
    source = store.path(first)
    contents = replace(load_contents(source), explore=drawing)
    version, other = (derive(store, source, name, contents, []) for name in ("drawn", "other"))
    store.publish(version)
    lives = {}
    for way in WAYS:
        folder = Path(shutil.copytree(store.folder, work / way.replace(", ", "-")))
        if way != WAYS[3]:
            set_exploring(folder, on=False, why="this way draws nothing")
        if "arms" in way:
            arms = {"control": {"share": 0.5}, "other": {"share": 0.5, "bundle": other}}
            start(Store(folder), "even", ExperimentConfig.model_validate({"arms": arms}))
        lives[way] = Live(folder, impressions=LOG if "log" in way else False)
    return lives


def _in_turns(lives: dict[str, Live], blocks: int) -> dict[str, Any]:
    """Of each way: how much more the same user's request takes than without, at the median."""
    rng = np.random.default_rng(0)
    n_users = len(lives["without"].contents.users.ids)
    users = rng.integers(n_users, size=(blocks + 2, BLOCK)).tolist()
    taken = {way: np.empty((blocks + 2, BLOCK)) for way in WAYS}
    for number, block in enumerate(users):
        for way in rng.permutation(WAYS).tolist():
            taken[way][number] = _block(lives[way], block)
            lives[way].recording.flush()
    told: dict[str, Any] = {"milliseconds without, p50": _round(np.median(taken["without"][2:]) / 1000, 3)}
    for way in WAYS[1:]:
        more = taken[way][2:] - taken["without"][2:]  # the first blocks warm
        again = [np.median(more[rng.integers(blocks, size=blocks)]) for _ in range(1000)]
        interval = [_round(np.percentile(again, q)) for q in (2.5, 97.5)]
        told[way] = {"p50": _round(np.median(more)), "interval": interval, "requests": int(more.size)}
    return told


def _block(live: Live, users: list[int]) -> list[float]:
    """Microseconds of each request, one behind the other."""
    taken = []
    for user in users:
        began = time.perf_counter_ns()
        live.recommend(user, K)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def _handing_over(live: Live, requests: int) -> dict[str, Any]:
    """Microseconds that a request spends in the log's code, and that the thread works for an answer."""
    taken: list[float] = []
    worked: list[float] = []
    with (
        _timed(Recording, "record", time.perf_counter_ns, taken),
        _timed(Writer, "_write_all", time.thread_time_ns, worked),
    ):
        before = live.health()["impressions"]["recorded"]
        for user in range(requests):
            live.recommend(user, K)
        live.recording.flush(30)
        written = live.health()["impressions"]["recorded"] - before
    return {
        "p50": _round(np.percentile(taken, 50), 2),
        "p99": _round(np.percentile(taken, 99), 2),
        "of the thread, CPU an answer": _round(sum(worked) / max(1, written), 1),
        "answers": written,
    }


@contextmanager
def _timed(owner: Any, name: str, clock: Any, taken: list[float]) -> Iterator[None]:
    """Keep how long each call of a method takes, in microseconds."""
    real = getattr(owner, name)

    def instead(*args: Any, **kwargs: Any) -> Any:
        began = clock()
        try:
            return real(*args, **kwargs)
        finally:
            taken.append((clock() - began) / 1000)

    setattr(owner, name, instead)
    try:
        yield
    finally:
        setattr(owner, name, real)


def _bytes(live: Live) -> dict[str, float]:
    """Of the lines of a log, those with a whole request among them and not."""
    lines = {True: list[int](), False: list[int]()}
    for impression in read(answers_folder(live.folder)):
        lines[impression.request is not None].append(len(as_line(impression)))
    usual: NDArray[np.int64] = np.array(lines[False])
    every = np.array(lines[False] + lines[True])
    return {
        "mean": _round(every.mean()), "p50": int(np.median(every)), "answers": len(every),
        "largest without a request": int(usual.max()),
        "with a request": _round(np.mean(lines[True])) if lines[True] else 0.0,
    }  # fmt: skip


def _hanging(live: Live, requests: int) -> dict[str, Any]:
    """Requests while a write does not return."""
    gate, real = threading.Event(), HourFile.append

    def held(*args: Any) -> None:
        gate.wait()
        real(*args)

    HourFile.append = held  # type: ignore[method-assign]
    try:
        before = live.health()["impressions"]["dropped"]
        taken = _block(live, list(range(requests)))
        waiting = live.health()["impressions"]["waiting"]
    finally:
        gate.set()
        HourFile.append = real  # type: ignore[method-assign]
    live.recording.flush(60)
    return {
        "requests": requests, "answered": len(taken), "waited to be written": waiting,
        "dropped": live.health()["impressions"]["dropped"] - before,
        "milliseconds, p50": _round(np.median(taken) / 1000, 3),
        "milliseconds, largest": _round(max(taken) / 1000, 3), "load": _round(os.getloadavg()[0], 2),
    }  # fmt: skip


def _round(value: Any, digits: int = 1) -> float:
    return round(float(value), digits)
