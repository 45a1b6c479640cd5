"""Does anyone notice that bundles are swapped: answers, latency and memory, while items change.

    python -m benchmarks.swaps

One process with four request threads. Blocks of requests alternate: with a swap in each or without one. In
both a writer upserts twenty items and deletes one, five times a second. A swap is a publication by another
process, taken up by `watch`. A few blocks have no changes, a few have a compaction and no swap.

Two loads. `paced`: requests arrive by chance (Poisson) at a third of what the four threads can answer, and
the time of a request counts from its arrival. `saturated`: each thread asks again as soon as it is answered.
The latter mostly measures how long a request waits for Python's lock.

Every answer is checked: k items, all of the edition that the answer's version is of, changed items of one
change, and none whose deletion was acknowledged before the request began. Every tenth request asks for
changed items only. At the end the same users are asked before and after a compaction.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.serving import RESULTS, last_events, percentiles, save
from benchmarks.swaps_load import THREADS, Answered, K, Span, Writer, arrivals, ask, faults
from benchmarks.swaps_world import editions
from funnel import Live
from funnel.artifacts import Store
from funnel.evaluation.metrics import compute_all

#: Seconds after a swap that still count as during it: first touches of what is new.
AFTER = 0.25


def publish(folder: str, version: str) -> None:
    """In a process of its own."""
    Store(folder).publish(version)


@dataclass
class Scene:
    """The one process that answers, and what was seen of it."""

    folder: Path
    live: Live
    writer: Writer
    publisher: ProcessPoolExecutor
    versions: list[str]
    rng: np.random.Generator
    rate: float = 0.0
    seconds: dict[tuple[str, str], list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    during: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    errors: list[str] = field(default_factory=list)

    def block(self, load: str, kind: str, n: int) -> None:
        """n requests, under a load, while that happens which the kind names."""
        users = self.rng.integers(self.writer.items // 5, size=n).tolist()
        event = {"swap": self.swap, "compaction": self.compact}.get(kind)
        over, span = threading.Event(), None
        with ThreadPoolExecutor(1) as pool, nullcontext() if kind == "still" else self.writer.changing():
            due = arrivals(n, self.rate / 3, self.rng) if load == "paced" else None
            asking = pool.submit(ask, self.live, n, users, due, over)
            try:
                span = None if event is None else event()
            finally:
                over.set()
            answered, errors = asking.result()
        self.errors += errors
        found = faults(answered, self.writer.deleted, self.writer.items)
        for row in ("all blocks", *(["blocks with a swap"] if kind == "swap" else [])):
            self.answers[row].update(found)
        self.seconds[load, kind].append([one.ended - one.due for one in answered])
        if span is not None:
            self.spans[kind].append(span.ended - span.began)
            until = span.ended + AFTER
            self.during[load, kind] += [
                one.ended - one.due for one in answered if _meets(one, span.began, until)
            ]

    def swap(self) -> Span:
        """Publish the other edition elsewhere, and wait until it is in use."""
        time.sleep(0.5)
        version = next(one for one in self.versions if one != self.live.version)
        began = time.perf_counter()
        self.publisher.submit(publish, str(self.folder), version).result()
        while self.live.version != version:
            assert self.live.refused is None, self.live.refused
            time.sleep(0.005)
        return Span(began, time.perf_counter())

    def compact(self) -> Span:
        """A new index."""
        time.sleep(0.5)
        began = time.perf_counter()
        self.live.items.compact()
        return Span(began, time.perf_counter())


def _meets(one: Answered, began: float, ended: float) -> bool:
    return one.ended > began and one.due < ended


def memory() -> dict[str, float]:
    """What the process has in memory after a garbage collection, in MiB, of its own and of mapped files."""
    gc.collect()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: int(lines[key].split()[0]) / 1024 for name, key in (("own", "RssAnon"), ("files", "RssFile"))
    }


def main(
    items: int = 100_000,
    rounds: int = 20,
    requests: Annotated[int, typer.Option(help="of a saturated block")] = 5_000,
    paced: Annotated[int, typer.Option(help="of a paced block")] = 1_000,
    trees: int = 300,
    leaves: int = 63,
    work: Annotated[Path, typer.Option(help="where the bundles are kept")] = Path("build/swaps"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save latencies by load and kind of block, faults, and memory round by round."""
    versions = editions(work, items=items, trees=trees, leaves=leaves)
    store = Store(work / "indexes")
    (store.folder / "live" / "items.log").unlink(missing_ok=True)
    store.publish(versions[0])
    live = Live(store.folder, watch=0.2)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as publisher:
        scene = Scene(store.folder, live, Writer(live, items), publisher, versions, np.random.default_rng(0))
        about = measured(scene, rounds, requests, paced)
    live.close()
    show(about)
    save(
        "swaps",
        {"items": items, "trees": trees, "leaves": leaves, "index": live.contents.index.spec, **about},
        results,
    )  # type: ignore[attr-defined]


def measured(scene: Scene, rounds: int, requests: int, paced: int) -> dict[str, Any]:
    """All blocks."""
    scene.writer.fill()
    for kind in ("changes", "swap", "swap", "compaction"):  # warm, and the rate
        scene.block("saturated", kind, requests)
    whole = scene.seconds["saturated", "changes"][0]
    scene.rate = THREADS / float(np.mean(whole))
    for seen in (scene.seconds, scene.during, scene.spans, scene.answers):
        seen.clear()
    level, later = memory(), []
    blocks = {"saturated": requests, "paced": paced}
    for number in track(range(rounds), "Swapping", console=Console(stderr=True)):
        kinds = ["changes", "swap"] if number % 2 else ["swap", "changes"]
        for load, n in blocks.items():
            for kind in kinds:
                scene.block(load, kind, n)
        later.append(memory())
        if number % 10 == 9:
            for load, n in blocks.items():
                scene.block(load, "still", n)
                scene.block(load, "compaction", n)
    return {
        "threads": THREADS, "k": K, "rounds": rounds, "requests_a_block": blocks,
        "requests_a_second": {"saturated": round(scene.rate, 1), "paced": round(scene.rate / 3, 1)},
        "milliseconds": {load: rows(scene, load) for load in blocks},
        "p99_ratio": {load: ratios(scene, load) for load in blocks},
        "answers": scene.answers, "errors": scene.errors[:10], "n_errors": len(scene.errors),
        "upserts": scene.writer.upserts, "deletes": len(scene.writer.deleted),
        "seconds": {kind: round(float(np.median(taken)), 3) for kind, taken in scene.spans.items()},
        "swaps": len(scene.spans["swap"]), "mib_before": level, "mib_after_each_round": later,
        "compaction": compared(scene),
    }  # fmt: skip


def compared(scene: Scene, users: int = 500) -> dict[str, float]:
    """The same users asked before and after a compaction: do the lists differ, and are they worse."""
    live, examples = scene.live, last_events(scene.live.contents, users)
    before = live.contents.funnel(K)(examples.requests)
    live.items.compact()
    after = live.contents.funnel(K)(examples.requests)
    shared = [len(np.intersect1d(a, b)) / K for a, b in zip(before.items, after.items, strict=True)]
    found = {
        "overlap@10": float(np.mean(shared)),
        "equal_lists": float((before.items == after.items).all(1).mean()),
    }
    for name, candidates in (("before", before), ("after", after)):
        metrics = compute_all(("ndcg@10", "recall@10"), candidates.items, examples.targets)
        found |= {f"{metric} {name}": float(values.mean()) for metric, values in metrics.items()}
    return {name: round(value, 5) for name, value in found.items()}


def rows(scene: Scene, load: str) -> dict[str, dict[str, float]]:
    """Percentiles of each kind of block, and of what met a swap or a compaction."""
    found = {
        kind: percentiles(list(itertools.chain(*blocks)))
        for (of, kind), blocks in scene.seconds.items()
        if of == load
    }
    return found | {
        f"during a {kind}": percentiles(taken) for (of, kind), taken in scene.during.items() if of == load
    }


def ratios(scene: Scene, load: str) -> dict[str, float]:
    """p99 with swaps over p99 without: of all requests, and the median of the rounds'."""
    swap, changes = scene.seconds[load, "swap"], scene.seconds[load, "changes"]
    each = [np.percentile(a, 99) / np.percentile(b, 99) for a, b in zip(swap, changes, strict=True)]
    whole = np.percentile(np.concatenate(swap), 99) / np.percentile(np.concatenate(changes), 99)
    return {"all": round(float(whole), 3), "median_of_rounds": round(float(np.median(each)), 3)}


def show(about: dict[str, Any]) -> None:
    """A table a load, and the rest."""
    console = Console()
    for load, found in about["milliseconds"].items():
        title = f"{load}, {about['requests_a_second'][load]:.0f} requests a second, milliseconds"
        table = Table(title=f"{title}; p99 ratio {about['p99_ratio'][load]}", title_justify="left")
        for column in ("", "p50", "p95", "p99"):
            table.add_column(column, justify="left" if not column else "right")
        for name, row in found.items():
            table.add_row(name, *(f"{row[p]:.2f}" for p in ("p50", "p95", "p99")))
        console.print(table)
    for name in ("answers", "n_errors", "upserts", "deletes", "seconds", "compaction"):
        console.print(f"{name}:", about[name])
    console.print("MiB", about["mib_before"], about["mib_after_each_round"][-1])


if __name__ == "__main__":
    typer.run(main)
