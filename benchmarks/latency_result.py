"""What `benchmarks.latency` measured, as a table, a file and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.serving import bars, percentiles, save

WHOLE, BESIDE, GLUE, COMPILED = "Live.recommend", "beside the stages", "glue", "glue, lleaves, NumPy"

Row = dict[str, float]


@dataclass(frozen=True)
class Taken:
    """One call: seconds, and those of its stages where it tells them."""

    seconds: float
    stages: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """Calls in turns. calls: of each way, a number of users for `Live`. load: of the machine before it."""

    calls: Mapping[int | str, Sequence[Taken]]
    load: float

    def row(self, way: int | str) -> Row:
        """p50, p95, p99 and the mean of a way, in milliseconds."""
        return percentiles([one.seconds for one in self.calls[way]])

    def rows(self, users: int) -> dict[str, Row]:
        """Each stage of `Live`, what is in none of them, and the whole."""
        calls = self.calls[users]
        found = {name: percentiles([one.stages[name] for one in calls]) for name in calls[0].stages}
        rest = [one.seconds - sum(one.stages.values()) for one in calls]
        return found | {BESIDE: percentiles(rest), WHOLE: self.row(users)}


def result(
    settings: dict[str, Any], runs: Sequence[Run], users: int, beside: dict[str, Row]
) -> dict[str, Any]:
    """What goes to the file of one number of users: the run of the median p50, and how all runs went.

    beside: the steps that are in no stage, each by itself. The glue is told with the first number of users;
    the others are told as times the first.
    """
    first = next(iter(runs[0].calls))
    others = [way for way in (GLUE, COMPILED) if way in runs[0].calls and users == first]
    middle = sorted(runs, key=lambda run: run.row(users)["p50"])[len(runs) // 2]
    rows = middle.rows(users) | {way: middle.row(way) for way in others}
    about = {
        **settings, "users": users, "milliseconds": rows, "milliseconds_beside_the_stages": beside,
        "runs": [
            {"load": run.load, WHOLE: run.row(users)} | {way: run.row(way) for way in others} for run in runs
        ],
    }  # fmt: skip
    if others:
        about["times_faster_p50"] = {way: rows[way]["p50"] / rows[WHOLE]["p50"] for way in others}
    if users != first:
        about.pop("glue", None)
        ratios = [run.row(users)["p50"] / run.row(first)["p50"] for run in runs]
        about["times_the_p50_of"] = {"users": first, "median": float(np.median(ratios)), "runs": ratios}
    return about


def tell(about: dict[str, Any], results: Path) -> None:
    """Print and save."""
    show(about)
    name = f"latency-{about['ads']}x{about['users']}"
    save(name, about, results)
    bars(
        results / f"{name}.png",
        f"{about['ads']:,} ads, {about['users']:,} users, one core: p50, and p99 as a tick",
        "milliseconds a request",
        {row: (one["p50"], one["p99"]) for row, one in about["milliseconds"].items()},
    )


def show(about: dict[str, Any]) -> None:
    """A table, how the runs went, and the ratio."""
    at, console = f"recall@{about['k']}", Console()
    glue = f" (glue {about['glue'][at]:.3f})" if "glue" in about else ""
    title = (
        f"{about['ads']:,} ads, {about['users']:,} users, one core, {at} {about[at]:.3f}{glue}, milliseconds"
    )
    table = Table(title=title, title_justify="left")
    for column in ("", "p50", "p95", "p99"):
        table.add_column(column, justify="right" if column else "left")
    steps = {f"({name})": row for name, row in about["milliseconds_beside_the_stages"].items()}
    for name, row in (about["milliseconds"] | steps).items():
        table.add_row(name, *(f"{row[p]:.2f}" for p in ("p50", "p95", "p99")))
    console.print(table)
    for run in about["runs"]:
        told = [f"{way} {row['p50']:.2f} {row['p99']:.2f}" for way, row in run.items() if way != "load"]
        console.print(f"p50 and p99 of a run: {', '.join(told)}; load {run['load']:.1f}", highlight=False)
    if (ratio := about.get("times_the_p50_of")) is not None:
        console.print(f"{ratio['median']:.3f} times the p50 of {ratio['users']:,} users", highlight=False)
