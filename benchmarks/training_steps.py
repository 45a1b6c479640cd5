"""What a training step costs with more and more items: `python -m benchmarks.training --items N`.

A made-up log, whose items come as often as 1 / rank says, with one column; the default towers with sampled
softmax, trained for one epoch without a validation and read out. Each size in a process of its own, which
says: the median step and its processor time, the processor time in the kernel, and the highest memory, less
what the process had before, as times the table of the items' ids (items · d · 4 bytes).

    python -m benchmarks.training --items N --processes P

also trains by P processes that share the items.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

USERS, LENGTH = 3_000, 40


def log_of(n_items: int, seed: int) -> Any:
    """USERS histories of LENGTH events."""
    from funnel.types import Log

    rng = np.random.default_rng(seed)
    n = USERS * LENGTH
    items = np.floor(n_items ** rng.random(n)).astype(np.int32) - 1  # as often as 1 / rank
    users = np.repeat(np.arange(USERS, dtype=np.int32), LENGTH)
    return Log(users, rng.permutation(n_items).astype(np.int32)[items], np.arange(n), USERS, n_items, "time")


def measure(
    n_items: int, threads: int, device: str, store: str | None, rank: int, size: int
) -> dict[str, Any]:
    """One epoch over so many items, as process `rank` of `size`, which meet in the file `store`."""
    import torch

    from funnel.features.encoders import Spec
    from funnel.towers.config import TowersConfig
    from funnel.towers.training.progress import TrainingProgress
    from funnel.towers.training.ranks import Ranks
    from funnel.towers.training.trainer import Trainer

    torch.set_num_threads(threads)
    if store is not None:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{store}", rank=rank, world_size=size
        )
    ranks = Ranks.here() if store is not None else Ranks()
    log = log_of(n_items, 0)
    columns = {"shop": np.random.default_rng(1).integers(0, 1000, n_items, dtype=np.int32)}
    config = TowersConfig(loss="sampled_softmax", epochs=1, device=device)
    before, began = peak(), time.perf_counter()
    trainer = Trainer(log, columns, {"shop": Spec("category", 1000, 1)}, {}, {}, None, config, 0, ranks=ranks)
    trainer.start()
    started = time.perf_counter() - began
    clock = Clock()
    with TrainingProgress(1, shown=False) as bar:
        bar.step = clock.tick  # type: ignore[method-assign]
        trainer.epoch(bar)
    trained = peak()
    best = trainer.best()
    rows = len(best.items.ids)
    vectors = trainer.vectors()
    table = n_items * config.d * 4
    return {
        "items": n_items, "processes": size, "rank": rank, "rows": rows, "vectors": list(vectors.shape),
        **clock.figures(), "start_seconds": started, "table_bytes": table,
        "memory_times_table": (trained - before) / table, "with_read_out": (peak() - before) / table,
    }  # fmt: skip


class Clock:
    """Seconds and processor seconds of each step but the first few, in which memory is taken."""

    FIRST = 5

    def __init__(self) -> None:
        self._at: list[tuple[float, float, float]] = []

    def tick(self, positions: int, total: int) -> None:
        """A step ended."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._at.append((time.perf_counter(), used.ru_utime, used.ru_stime))

    def figures(self) -> dict[str, float]:
        """Of a step."""
        steps = np.diff(np.array(self._at), axis=0)[self.FIRST :]
        wall, user, kernel = (float(statistics.median(column)) for column in steps.T)
        processor = (steps[:, 1] + steps[:, 2]).mean()
        return {
            "steps": len(steps), "step_seconds": wall, "step_processor": float(processor),
            "step_kernel": float(steps[:, 2].mean()), "median_user": user, "median_kernel": kernel,
        }  # fmt: skip


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(n_items: int, processes: int, threads: int, device: str) -> list[dict[str, Any]]:
    """Figures of each process."""
    with tempfile.TemporaryDirectory() as folder:
        store = "-" if processes == 1 else str(Path(folder) / "store")
        here = [sys.executable, "-m", "benchmarks.training_steps", str(n_items), str(threads), device, store]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        running = [
            subprocess.Popen([*here, str(rank), str(processes)], stdout=subprocess.PIPE, env=environment)
            for rank in range(processes)
        ]
        said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"a process over {n_items} items ended with an error, see above")
    return [json.loads(text.splitlines()[-1]) for text in said]


if __name__ == "__main__":
    items, cores, where, meeting, number, of = sys.argv[1:]
    found = measure(int(items), int(cores), where, None if meeting == "-" else meeting, int(number), int(of))
    sys.stdout.write(json.dumps(found) + "\n")
