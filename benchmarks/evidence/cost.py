"""What the log of answers, arms and drawn lists cost a request, and how long a line of the log is.

    python -m benchmarks.evidence cost

One `Live` answers the same users in blocks that take turns: without any of it, with the log, with the log and
arms, and with the log, arms and drawn lists. It is one `Live`, since two of the same bundle differ by more
than all of this: how their memory lies. Its users are those of the arm that the published bundle is. What is
told is the median of the differences of the same user's request with and without, and its 95% interval over
blocks drawn again: by the clock, and by the processor time of the request's own thread, which a busy machine
changes less. Differences of two milliseconds tell little of some microseconds, so the parts are told as
well: the processor time of the code that chooses an arm, gives a seed, and draws a list in place of the
greedy stages. A block of the log ends when all of it is written, so that what its thread takes from requests
is in its own time. Beside it: what handing an answer over takes by itself, what the thread works for one, and
requests while the disk does not answer.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from funnel.policies import Draw, Drawing
from funnel.serving.arms import Arms
from funnel.serving.exploring import Exploring
from funnel.serving.recording import Recording
from funnel.stages import Diversify

BLOCK, K = 25, 10
LOG = ImpressionsConfig(log=True, candidates=50)

#: What is on in each way, one more than in the way before.
WAYS = ("without", "log", "log, arms", "log, arms, drawn")


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    with tempfile.TemporaryDirectory(prefix="funnel-cost-") as place:
        live = _live(Path(place), items=2_000 if quick else 20_000)
        by_clock, by_processor = _in_turns(live, 12 if quick else 240)
        about = {
            "items": len(live.contents.catalogue.ids),
            "microseconds more at p50": by_clock,
            "microseconds of processor more at p50": by_processor,
            "handing over": _handing_over(live, 200 if quick else 5_000),
            "parts": _of_code(live, 200 if quick else 5_000),
            "bytes": _bytes(live),
            "dropped": live.health()["impressions"]["dropped"],
            "a disk that does not answer": _hanging(live, 200 if quick else 2_000),
            "load of the machine": _round(os.getloadavg()[0], 2),
        }
        live.close()
    Console().print_json(data=about)
    if not quick:
        save("evidence-cost", {**about, "shared_machine": True}, results)


def _live(work: Path, items: int) -> Live:
    """A bundle that draws lists, and another that is an arm beside it."""
    first, _ = editions(work, items=items, trees=100)
    store = Store(work / "indexes")
    source, drawing = store.path(first), Drawing(temperature=0.05, epsilon=0.02, top=50)
    contents = replace(load_contents(source), explore=drawing)
    version, other = (derive(store, source, name, contents, []) for name in ("drawn", "other"))
    store.publish(version)
    arms = {"control": {"share": 0.5}, "other": {"share": 0.5, "bundle": other}}
    start(store, "even", ExperimentConfig.model_validate({"arms": arms}))
    return Live(store, impressions=LOG)


@contextmanager
def _only(live: Live, way: str) -> Iterator[int | None]:
    """Only what a way has; the seed of its lists, -1 where none is drawn."""
    with ExitStack() as stack:
        if way == "without":
            stack.enter_context(live.recording.paused())
        if "arms" not in way:
            nobody = live._parts.arms.of({})
            live._parts.arms.choose = lambda user_id: nobody  # type: ignore[method-assign]
            stack.callback(delattr, live._parts.arms, "choose")
        yield None if "drawn" in way else -1


def _in_turns(live: Live, blocks: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of each way: how much more the same user's request takes than without, at the median, both ways."""
    rng = np.random.default_rng(0)
    n_users = len(live.contents.users.ids)
    users = rng.integers(n_users, size=(blocks + 2) * BLOCK * 3).tolist()
    mine = [user for user in users if live._parts.arms.choose(user).arms == {"even": "control"}]
    taken = {way: np.empty((blocks + 2, BLOCK, 2)) for way in WAYS}
    for number in range(blocks + 2):
        for way in rng.permutation(WAYS).tolist():
            with _only(live, way) as seed:
                taken[way][number] = _block(live, mine[number * BLOCK :][:BLOCK], seed)
                live.recording.flush(60)
    kept = {way: every[2:] for way, every in taken.items()}  # the first blocks warm
    by_clock, by_processor = ({way: every[..., n] for way, every in kept.items()} for n in (0, 1))
    return _more(by_clock, rng), _more(by_processor, rng)


def _more(taken: dict[str, NDArray[np.float64]], rng: np.random.Generator) -> dict[str, Any]:
    """taken: microseconds of each way, [blocks, requests]."""
    blocks = len(taken["without"])
    told: dict[str, Any] = {"milliseconds without, p50": _round(np.median(taken["without"]) / 1000, 3)}
    for way in WAYS[1:]:
        more = taken[way] - taken["without"]
        again = [np.median(more[rng.integers(blocks, size=blocks)]) for _ in range(1000)]
        interval = [_round(np.percentile(again, q)) for q in (2.5, 97.5)]
        told[way] = {"p50": _round(np.median(more)), "interval": interval, "requests": int(more.size)}
    return told


def _block(live: Live, users: list[int], seed: int | None = -1) -> list[tuple[float, float]]:
    """Microseconds of each request, one behind the other: by the clock, and of the thread's processor."""
    taken = []
    for user in users:
        began, worked = time.perf_counter_ns(), time.thread_time_ns()
        live.recommend(user, K, seed=seed)
        worked, ended = time.thread_time_ns() - worked, time.perf_counter_ns()
        taken.append(((ended - began) / 1000, worked / 1000))
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


def _of_code(live: Live, requests: int) -> dict[str, float]:
    """Microseconds of processor that a request spends in each part's code, at the median."""
    parts = {
        "an arm": (Arms, "choose"), "a seed": (Exploring, "seeds"), "a drawn list": (Draw, "__call__"),
        "a greedy list": (Diversify, "__call__"),
    }  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in parts}
    with ExitStack() as stack:
        for name, (owner, method) in parts.items():
            stack.enter_context(_timed(owner, method, time.thread_time_ns, taken[name]))
        for user in range(requests):
            live.recommend(user, K)
            live.recommend(user, K, seed=-1)
    live.recording.flush(60)
    return {name: _round(np.median(every)) for name, every in taken.items()}


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


def _bytes(live: Live) -> dict[str, Any]:
    """Of the lines of the log, by what is in them."""
    lines: dict[str, list[int]] = defaultdict(list)
    for one in read(answers_folder(live.folder)):
        way = WAYS[1 + bool(one.arms) + (one.policy is not None)]
        lines["with a request" if one.request else way].append(len(as_line(one)))
    return {
        way: {"mean": _round(np.mean(every)), "largest": max(every), "answers": len(every)}
        for way, every in sorted(lines.items())
    }


def _hanging(live: Live, requests: int) -> dict[str, Any]:
    """Requests while a write does not return."""
    gate, real = threading.Event(), HourFile.append

    def held(*args: Any) -> None:
        gate.wait()
        real(*args)

    HourFile.append = held  # type: ignore[method-assign]
    try:
        before = live.health()["impressions"]["dropped"]
        taken = [clock for clock, _ in _block(live, list(range(requests)))]
        waiting = live.health()["impressions"]["waiting"]
    finally:
        gate.set()
        HourFile.append = real  # type: ignore[method-assign]
    live.recording.flush(60)
    return {
        "requests": requests, "answered": len(taken), "waited to be written": waiting,
        "dropped": live.health()["impressions"]["dropped"] - before,
        "milliseconds, p50": _round(np.median(taken) / 1000, 3),
        "milliseconds, largest": _round(max(taken) / 1000, 3),
    }  # fmt: skip


def _round(value: Any, digits: int = 1) -> float:
    return round(float(value), digits)
