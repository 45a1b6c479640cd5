"""What a shadow costs the requests that are served, and what a second bundle costs in memory.

    python -m benchmarks.evidence shadow

One process answers requests one behind the other, as fast as it can, in blocks that take turns: without an
experiment, and with one whose second bundle is a shadow of every answer. Then requests come ten a second, to
see how many shadows are made when there is time. Memory is that of a fresh process with one bundle, and with
another as an arm, whose files are the same but for one column: before and after equal files were made one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.serving import save
from benchmarks.swaps_world import editions
from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.linking import link_equal_files
from funnel.experiments.running import start

BLOCK = 200

#: Prints the process's own memory in MiB; arguments: the store.
MEMORY = """
import sys
from funnel import Live
live = Live(sys.argv[1])
for user in range(300):
    live.recommend(user)
lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
print({line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.split()[-1] == "kB"})
"""


def main(quick: bool, results: Path) -> None:
    """Measure, print, and write the JSON unless quick."""
    items = 2_000 if quick else 20_000
    with tempfile.TemporaryDirectory(prefix="funnel-shadow-") as place:
        work = Path(place)
        first, second = editions(work, items=items, trees=100)
        plain, shadowed = _stores(work / "indexes", work, first, second)
        about = {
            "items": items,
            "at saturation": _saturated(plain, shadowed, 8 if quick else 150),
            "ten a second": _at_leisure(shadowed, 20 if quick else 200),
            "MiB": _memory(work / "indexes", work, first, second),
        }
    Console().print_json(data=about)
    if not quick:
        save("evidence-shadow", {**about, "shared_machine": True}, results)


def _stores(indexes: Path, work: Path, first: str, second: str) -> tuple[Store, Store]:
    """The same bundles without an experiment, and with a shadow."""
    Store(indexes).publish(first)
    plain, shadowed = (
        Store(shutil.copytree(indexes, work / "plain")),
        Store(shutil.copytree(indexes, work / "dark")),
    )
    start(shadowed, "dark", _experiment(second, shadow=True))
    return plain, shadowed


def _experiment(bundle: str, *, shadow: bool) -> ExperimentConfig:
    shares = (1.0, 0.0) if shadow else (0.5, 0.5)
    arms = {"control": {"share": shares[0]}, "other": {"share": shares[1], "bundle": bundle}}
    return ExperimentConfig.model_validate({"arms": arms, "shadow": 1.0})


def _saturated(plain: Store, shadowed: Store, blocks: int) -> dict[str, Any]:
    """p50 and p99 of both in blocks that take turns, their ratios, and the 95% interval of the ratio of p99
    over blocks drawn again in pairs."""
    lives = {"without": Live(plain), "with": Live(shadowed)}
    rng = np.random.default_rng(0)
    users = rng.integers(0, len(lives["with"].contents.users.ids), size=(blocks, BLOCK))
    taken: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in lives}
    for number, block in enumerate(users.tolist()):
        for name in list(lives) if number % 2 else list(reversed(lives)):
            taken[name].append(_block(lives[name], block))
            lives["with"].shadow.flush(10)
    times = {name: np.array(found[2:]) for name, found in taken.items()}  # the first blocks warm
    quantiles = {
        name: {f"p{q}": round(float(np.percentile(found, q)), 3) for q in (50, 99)}
        for name, found in times.items()
    }
    ratios = [_ratio(times, rng.integers(blocks - 2, size=blocks - 2)) for _ in range(400)]
    return {
        "milliseconds": quantiles,
        "requests of each": int(times["with"].size),
        "p99, with over without": round(_ratio(times, np.arange(blocks - 2)), 4),
        "interval": [round(float(np.percentile(ratios, q)), 4) for q in (2.5, 97.5)],
        "shadows": lives["with"].shadow.figures(),
    }


def _block(live: Live, users: list[int]) -> np.ndarray[Any, Any]:
    """Milliseconds of each request, one behind the other."""
    taken = []
    for user in users:
        began = time.perf_counter()
        live.recommend(user)
        taken.append(1000 * (time.perf_counter() - began))
    return np.array(taken)


def _ratio(times: dict[str, np.ndarray[Any, Any]], blocks: np.ndarray[Any, Any]) -> float:
    return float(np.percentile(times["with"][blocks], 99) / np.percentile(times["without"][blocks], 99))


def _at_leisure(shadowed: Store, requests: int) -> dict[str, Any]:
    """How many shadows are made of requests that come ten a second."""
    live = Live(shadowed)
    before = dict(live.shadow.figures())
    for user in range(requests):
        live.recommend(user)
        time.sleep(0.1)
    live.shadow.flush(10)
    after = live.shadow.figures()
    return {"requests": requests, "made": after["done"] - before["done"], "dropped": after["dropped"]}


def _memory(indexes: Path, work: Path, first: str, second: str) -> dict[str, Any]:
    """Of a process: one bundle; two of copied files; two whose equal files are one."""
    one, copied = _of_process(indexes), Store(shutil.copytree(indexes, work / "copied"))
    start(copied, "ab", _experiment(second, shadow=False))
    linked = _of_process(copied.folder)
    for file in (copied.folder / second).rglob("*"):
        if file.is_file() and file.stat().st_nlink > 1:  # apart again, as two builds write them
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
    apart = _of_process(copied.folder)
    saved = link_equal_files(copied, [first, second])
    size = sum(file.stat().st_size for file in (indexes / second).rglob("*") if file.is_file())
    return {
        "one bundle": one,
        "two, files apart": apart,
        "two, equal files one": linked,
        "a bundle on disk": round(size / 2**20, 1),
        "of which equal": round(saved / 2**20, 1),
    }


def _of_process(store: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(store)], capture_output=True, text=True, check=True, timeout=600
    )
    found = json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"'))
    private = found["Private_Clean"] + found["Private_Dirty"]
    return {"resident": round(found["Rss"], 1), "private": round(private, 1)}
