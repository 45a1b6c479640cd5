"""How long one request takes, stage by stage, on one core; beside the stack that people write.

    python -m benchmarks.latency --indexes indexes

One request after another, of users that the bundle knows, drawn with a seed; funnel and glue take turns,
fifty requests each. The ranker is grown for the benchmark: 300 trees of 63 leaves over 40 features. What a
user met is excluded; the best ten of fifty are diversified.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.glue import Glue
from benchmarks.serving import RESULTS, asked, bars, clock, percentiles, pin, save, sized
from funnel import Live
from funnel.bundle.contents import Contents
from funnel.index import ExactIndex
from funnel.stages import Filter
from funnel.types import Requests

TURN = 50


def recall(contents: Contents, requests: list[Requests], k: int) -> float:
    """The share of exact search's k that the bundle's index finds, averaged over the requests."""
    queries = np.concatenate([contents.encoder.encode(one) for one in requests])
    found, wanted = contents.index.search(queries, k)[0], ExactIndex(contents.vectors).search(queries, k)[0]
    return float(np.mean([np.isin(w, f).mean() for f, w in zip(found, wanted, strict=True)]))


def glued(contents: Contents, model: Path, requests: list[Requests], k: int, goal: float) -> Glue:
    """The other stack, with the same towers and trees, and an index of the same recall."""
    retrieve, shorten, features = contents.retriever(), Filter(k), contents.candidate_features()
    lists = [features.matrix(one, shorten(one, retrieve(one)))[0] for one in requests]
    constant = np.all([(m == m[:1]).all(0) | np.isnan(m).all(0) for m in lists], axis=0)
    queries = np.concatenate([contents.encoder.encode(one) for one in requests])
    return Glue(contents, model.read_text(), np.concatenate(lists), constant, queries, k=k, recall=goal)


def main(
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("indexes"),
    version: str = "current",
    requests: int = 2000,
    trees: int = 300,
    leaves: int = 63,
    beside: Annotated[bool, typer.Option(help="whether the other stack is measured too")] = True,
    core: Annotated[int, typer.Option(help="the core that everything runs on")] = 0,
    work: Annotated[Path, typer.Option(help="where the grown ranker is kept")] = Path("build/latency"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Print and save p50, p95 and p99 of each stage and of the whole, for the funnel and for the glue."""
    live = Live(indexes, version)
    work = work / live.version
    contents = sized(live.contents, work, trees=trees, leaves=leaves)
    contents = replace(contents, rerank=contents.rerank.model_copy(update={"trade_off": 0.8}))
    pin(core)
    k, ads = contents.retrieve.k, len(contents.catalogue.ids)
    singles, tried = asked(contents, requests), asked(contents, 100, seed=1)
    found = recall(contents, tried, k)
    model = work / f"ranker-{trees}x{leaves}" / "model.txt"
    glue = glued(contents, model, tried, k, found) if beside else None
    funnel = contents.funnel(10)
    for one in tried:
        funnel.trace(one)
        if glue is not None:
            glue(one)
    stages: list[list[float]] = []
    whole: list[float] = []
    other: list[float] = []
    for start in range(0, requests, TURN):
        turn = singles[start : start + TURN]
        whole += clock(lambda one: stages.append([step.seconds for step in funnel.trace(one)]), turn)
        if glue is not None:
            other += clock(glue, turn)
    rows = {name: percentiles([row[i] for row in stages]) for i, name in enumerate(funnel.names)}
    rows["whole"] = percentiles(whole)
    about: dict[str, Any] = {
        "ads": ads, "requests": requests, "k": k, "trees": trees, "leaves": leaves,
        "features": len(contents.candidate_features().names), "threads": 1, "core": core,
        "index": live.contents.index.spec, f"recall@{k}": found, "milliseconds": rows,
    }  # fmt: skip
    if glue is not None:
        rows["glue"] = percentiles(other)
        about["glue"] = {"index": glue.spec, "nprobe": glue.probes, f"recall@{k}": glue.recall}
        about["times_faster_p50"] = rows["glue"]["p50"] / rows["whole"]["p50"]
    show(about, rows)
    save(f"latency-{ads}", about, results)
    bars(
        results / f"latency-{ads}.png",
        f"{ads:,} ads, one core: p50, and p99 as a tick",
        "milliseconds a request",
        {name: (row["p50"], row["p99"]) for name, row in rows.items()},
    )


def show(about: dict[str, Any], rows: dict[str, dict[str, float]]) -> None:
    """A table."""
    at = f"recall@{about['k']}"
    other = f" (glue {about['glue'][at]:.3f})" if "glue" in about else ""
    table = Table(
        title=f"{about['ads']:,} ads, one core, {at} {about[at]:.3f}{other}, milliseconds",
        title_justify="left",
    )
    for column in ("", "p50", "p95", "p99"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[p]:.2f}" for p in ("p50", "p95", "p99")))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
