"""Machines, memory and waiting at numbers of items and requests that nobody has here, from what was measured.

    python -m benchmarks.plan --items 1e9 --qps 1e6
    python -m benchmarks.plan --grid

The grid is of 10⁷ to 10⁹ items and 10³ to 10⁶ requests a second, and goes to results/plan.json and plan.png.
Fed by results/plan-measured.json (`benchmarks.plan_measure`). What is assumed and not measured (cores and
memory of a machine, ways between machines, stragglers) is printed, and may be given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.plan_check import checked
from benchmarks.plan_model import (
    GIB,
    RESULTS,
    Assumed,
    Layout,
    Measured,
    Work,
    by_lists,
    by_rows,
    bytes_an_item,
    layout,
    needed,
)
from benchmarks.plan_picture import draw
from benchmarks.plan_tail import Machine, tail
from benchmarks.serving import save
from funnel.vectors import Form

ITEMS, QPS = (1e7, 1e8, 1e9), (1e3, 1e4, 1e5, 1e6)


@dataclass(frozen=True)
class Way:
    """One way of sharing the items: machines, processor milliseconds a request, how many machines answer it,
    how busy the cores of the busiest are and how many times the mean it works, and milliseconds that requests
    take, without and with hedging."""

    machines: int
    processor_ms: float
    fan_out: int
    busiest: float
    times_the_mean: float
    p50: float
    p99: float
    hedged_p99: float


def plan(
    measured: Measured,
    items: int,
    qps: float,
    form: Form,
    assumed: Assumed,
    *,
    seed: int = 0,
    n: int = 20_000,
) -> dict[str, Any]:
    """Everything of one number of items and of requests a second."""
    laid, parts = layout(measured, items, form, assumed), bytes_an_item(measured, form)
    whole = items * sum(parts.values()) / GIB
    work, hot = by_lists(measured, laid, items, seed)
    rows = _way(measured, by_rows(measured, laid), laid, laid.a_machine, 1.0, qps, assumed, seed, n)
    lists = _way(measured, work, laid, 1, hot, qps, assumed, seed, n)
    return {
        "items": items, "qps": qps, "vectors": form, "gib": round(whole, 1),
        "gib_by_part": {part: round(items * size / GIB, 2) for part, size in parts.items()},
        "shards": laid.shards, "items_a_shard": laid.items, "machines_of_a_group": laid.machines,
        "gib_a_machine": round(whole / laid.machines, 1),
        "rows": asdict(rows), "lists": asdict(lists),
        "network_mbit_a_machine": round(_network(laid.shards, measured.search.k, qps, rows.machines), 1),
        "rebuild": rebuild(measured, items, laid.machines, rows.machines, sum(parts.values()), assumed),
    }  # fmt: skip


def _way(
    measured: Measured, work: Work, laid: Layout, tasks: int, hot: float, qps: float, assumed: Assumed,
    seed: int, n: int,
) -> Way:  # fmt: skip
    """tasks: that a request is on each machine of a group. hot: times the mean that the busiest one works;
    the slowest answer counts, so that all are taken to be like it."""
    group = laid.machines
    machines = needed(group, work.whole, qps, assumed, hot)
    machine = Machine(qps * hot * group / machines, tasks, work.shard, work.other, group)
    usual, hedged = (
        tail(machine, measured.shape, assumed, hedged=one, n=n, seed=seed) for one in (False, True)
    )
    return Way(
        machines=machines,
        processor_ms=round(work.whole / 1000, 3),
        fan_out=group,
        busiest=round(machine.busy(assumed.cores), 3),
        times_the_mean=round(hot, 2),
        p50=round(usual.p50, 2),
        p99=round(usual.p99, 2),
        hedged_p99=round(hedged.p99, 2),
    )


def _network(shards: int, k: int, qps: float, machines: int) -> float:
    """Megabits a second of a machine: a row and a score for each of k of each shard, and 40 columns of k."""
    return qps * (shards * k * 8 + k * 40 * 4) * 8 / 1e6 / machines


def rebuild(
    measured: Measured, items: int, group: int, machines: int, bytes_item: float, assumed: Assumed
) -> dict[str, float]:
    """Of a night: processor hours by step, at most; hours on the machines of one group; and minutes to copy a
    bundle to every machine, each from one that has it."""
    cores = dict.fromkeys(measured.build, measured.build_cores) | {"index": 1}  # which is a part of a step
    hours = {step: items * took * cores[step] / 3600 for step, took in measured.build.items()}
    whole = sum(took for step, took in hours.items() if step != "index")
    copies = max(1.0, math.log2(max(2, machines / group)))
    minutes = items * bytes_item / group * 8 / (assumed.gbits * 1e9) / 60 * copies
    return {
        **{step: round(value, 3) for step, value in hours.items()},
        "processor_hours": round(whole, 2),
        "hours_on_one_group": round(whole / (group * assumed.cores), 3),
        "minutes_to_copy": round(minutes, 2),
    }


def at_least(least: float) -> Callable[[float], float]:
    """A check of an option's number, which is none where it is not finite."""

    def check(value: float) -> float:
        if not least <= value < math.inf:
            raise typer.BadParameter(f"a number of at least {least} is expected")
        return value

    return check


def main(
    items: Annotated[float, typer.Option(help="in the catalogue", callback=at_least(1))] = 1e7,
    qps: Annotated[float, typer.Option(help="requests a second", callback=at_least(0.001))] = 1e3,
    vectors: Annotated[str, typer.Option(help="float32, float16 or int8")] = "int8",
    cores: int = Assumed.cores,
    memory: Annotated[float, typer.Option(help="GiB that a machine may fill")] = Assumed.memory,
    busy: Annotated[float, typer.Option(help="share of its time that a core may work")] = Assumed.busy,
    trip: Annotated[float, typer.Option(help="microseconds there and back between machines")] = Assumed.trip,
    stragglers: Annotated[
        float, typer.Option(help="share of a machine's answers that wait")
    ] = Assumed.stragglers,
    measured: Annotated[Path, typer.Option(help="what was measured")] = RESULTS / "plan-measured.json",
    grid: Annotated[bool, typer.Option("--grid", help="all sizes; writes plan.json and plan.png")] = False,
    results: Path = RESULTS,
    seed: int = 0,
) -> None:
    """Print what it takes."""
    numbers = Measured.load(measured)
    assumed = Assumed(cores=cores, memory=memory, busy=busy, trip=trip, stragglers=stragglers)
    sizes = [(n, q) for n in ITEMS for q in QPS] if grid else [(items, qps)]
    form: Form = vectors  # type: ignore[assignment]
    plans = [plan(numbers, int(n), q, form, assumed, seed=seed) for n, q in sizes]
    for one in plans:
        show(one)
    checks = checked(numbers, RESULTS)
    show_checks(checks)
    Console().print(f"Assumed, not measured: {asdict(assumed)}", highlight=False)
    if grid:
        save("plan", {"assumed": asdict(assumed), "plans": plans, "checked": checks}, results)
        draw(plans, results / "plan.png")


def show(one: dict[str, Any]) -> None:
    """Two rows, by rows and by lists."""
    title = (
        f"{one['items']:,} items, {one['vectors']}, {one['qps']:,.0f} requests a second, {one['gib']:,} GiB, "
        f"{one['shards']} shards; {one['machines_of_a_group']} machines of {one['gib_a_machine']} GiB"
    )
    table = Table(title=title, title_justify="left")
    columns = list(one["rows"])
    for column in ("shared by", *columns):
        table.add_column(column, justify="right" if column != "shared by" else "left")
    for way in ("rows", "lists"):
        table.add_row(way, *(f"{one[way][column]:,}" for column in columns))
    console, night = Console(width=140), one["rebuild"]
    console.print(table)
    console.print(
        f"a night: {night['processor_hours']:,} processor hours, {night['hours_on_one_group']:,} h on one "
        f"group, {night['minutes_to_copy']} min to copy; "
        f"{one['network_mbit_a_machine']:,} Mbit/s a machine",
        highlight=False,
    )


def show_checks(checks: list[dict[str, Any]]) -> None:
    """What the model says of what was measured, beside it."""
    table = Table(title="The model beside what was measured", title_justify="left")
    for column in ("what", "model", "measured", "error"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for one in checks:
        table.add_row(one["what"], f"{one['model']:,}", f"{one['measured']:,}", f"{one['error']:+.0%}")
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
