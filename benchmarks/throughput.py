"""How many users a second the whole funnel answers: in batches and one by one, with one thread and with two.

    python -m benchmarks.throughput --indexes indexes

The funnel is that of `benchmarks.latency`. Threads share it; each takes the next batch when it is done.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving import RESULTS, bars, save, sized
from funnel import Live
from funnel.engine import Funnel
from funnel.serving.request import of_users
from funnel.types import Requests


def users_a_second(funnel: Funnel, batches: list[Requests], threads: int) -> float:
    """All batches answered by so many threads."""
    funnel(batches[0])
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        answered = sum(len(found) for found in pool.map(funnel, batches))
        return answered / (time.perf_counter() - start)


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    version: str = "current",
    users: int = 4096,
    batch: int = 128,
    rounds: int = 3,
    trees: int = 300,
    leaves: int = 63,
    work: Annotated[Path, typer.Option(help="where the grown ranker is kept")] = Path("build/latency"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save the users a second of each way, the median of the rounds."""
    live = Live(indexes, version)
    contents = sized(live.contents, work / live.version, trees=trees, leaves=leaves)
    contents = replace(contents, rerank=contents.rerank.model_copy(update={"trade_off": 0.8}))
    drawn = np.random.default_rng(0).integers(len(contents.users.ids), size=users)
    whole, funnel = of_users(contents, drawn), contents.funnel(10)
    ways = [(size, threads) for size in (1, batch) for threads in (1, 2)]
    found: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for size, threads in ways:
            cut = [whole.take(np.arange(at, min(at + size, users))) for at in range(0, users, size)]
            found[size, threads].append(users_a_second(funnel, cut, threads))
    table = Table(title=f"{len(contents.catalogue.ids):,} ads, users a second", title_justify="left")
    for column in ("users a call", "threads", "users a second"):
        table.add_column(column, justify="right")
    rows = []
    for (size, threads), rates in found.items():
        rate = float(np.median(rates))
        table.add_row(str(size), str(threads), f"{rate:,.0f}")
        rows.append({"users_a_call": size, "threads": threads, "users_a_second": round(rate, 1)})
    Console().print(table)
    about = {
        "ads": len(contents.catalogue.ids),
        "users": users,
        "trees": trees,
        "leaves": leaves,
        "rows": rows,
    }
    save(f"throughput-{about['ads']}", about, results)
    bars(
        results / f"throughput-{about['ads']}.png",
        f"{about['ads']:,} ads, the whole funnel",
        "users a second",
        {
            f"{row['users_a_call']} a call, {row['threads']} thread{'s' * (row['threads'] > 1)}": (
                row["users_a_second"],
                None,
            )
            for row in rows
        },
    )


if __name__ == "__main__":
    typer.run(main)
