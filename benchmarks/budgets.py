"""Do budgets last for their day: a day of requests in the made-up world of ads, with one process and four.

    python -m benchmarks.budgets [--quick]

Requests come along a day's curve, at the times of a simulated clock, and are answered by `Live.recommend`.
Each shown ad costs its campaign the ad's bid; what was spent is patched before the next request of the
process. A day without budgets comes first; then half of the campaigns get a budget of 40 to 80% of what they
spent without, planned along the curve. Counted are what each spent by each hour beside its plan, and at the
end.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from ctypes import c_double, c_longlong
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.ads_world import made, small_config, world_of
from benchmarks.serving import RESULTS, save
from funnel import Live
from funnel.rules.pacing import planned

DAY, HOURS, USERS, ADS = 86_400, 24, 400, 600

#: How many requests come in each hour: few at night, most in the evening.
CURVE = [3, 2, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 9, 9, 8, 8, 8, 9, 11, 13, 14, 13, 10, 6]

RULE = {
    "kind": "budget", "limit": "budget", "spent": "spent", "by": "campaign",
    "curve": [float(one) for one in CURVE],
}  # fmt: skip

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Campaigns:
    """of: int64 [ads], each ad's campaign. bids: float64 [ads]. ids: the ads of each campaign."""

    of: NDArray[np.int64]
    bids: Float64
    ids: list[list[int]]


@dataclass(frozen=True)
class Day:
    """What a day came to. spent: float64 [hours + 1, campaigns], by the end of each hour. most: float64
    [campaigns], the most that one request cost. limits: float64 [campaigns], NaN without a budget."""

    spent: Float64
    most: Float64
    limits: Float64
    answered: int


def times_of(requests: int, start: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Moments of a day along its curve, in order."""
    hours = rng.choice(HOURS, size=requests, p=np.array(CURVE) / sum(CURVE))
    return np.sort(start + hours * 3600 + rng.integers(3600, size=requests))


def worker(folder: str, campaigns: Campaigns, plan: Any, shared: Any) -> None:
    """Answer the next request of the day until there is none."""
    live, (users, times) = Live(folder), plan
    number, lock, spent, most, answered = shared
    while True:
        with number.get_lock():
            at = number.value
            number.value += 1
        if at >= len(times):
            break
        answer = live.recommend(int(users[at]), 10, time=int(times[at]))
        shown = np.array([one.item_id for one in answer.items], dtype=np.int64)
        cost = np.bincount(campaigns.of[shown], weights=campaigns.bids[shown], minlength=len(campaigns.ids))
        with lock:  # the ledger: one total a campaign, told to the store before the next one is
            ledger, largest = np.frombuffer(spent).reshape(HOURS + 1, -1), np.frombuffer(most)
            ledger[int(times[at]) % DAY // 3600 + 1 :] += cost
            np.maximum(largest, cost, out=largest)
            rows = [row for c in np.flatnonzero(cost) for row in campaigns.ids[c]]
            if rows:
                live.items.patch(rows, {"spent": ledger[-1][campaigns.of[rows]]})
            answered.value += 1
    live.close()


def a_day(
    store: Path, campaigns: Campaigns, limits: Float64, requests: int, processes: int, start: int, seed: int
) -> Day:
    """The same requests, whatever the budgets and the number of processes, on a store that it copies."""
    rng, n = np.random.default_rng(seed), len(campaigns.ids)
    plan = rng.integers(USERS, size=requests), times_of(requests, start, rng)
    context = multiprocessing.get_context("spawn")
    spent = context.RawArray(c_double, (HOURS + 1) * n)
    most, number = context.RawArray(c_double, n), context.Value(c_longlong, 0)
    answered = context.RawValue(c_longlong, 0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(store, Path(place) / "indexes"))
        live = Live(folder)
        every = [None if np.isnan(one) else float(one) for one in limits[campaigns.of]]
        live.items.patch(list(range(len(campaigns.of))), {"budget": every})
        live.close()
        shared = number, context.Lock(), spent, most, answered
        workers = [
            context.Process(target=worker, args=(str(folder), campaigns, plan, shared))
            for _ in range(processes)
        ]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
    assert all(one.exitcode == 0 for one in workers)
    table = np.frombuffer(spent).reshape(HOURS + 1, n).copy()
    return Day(table, np.frombuffer(most).copy(), limits, answered.value)


def judged(day: Day, natural: Float64, processes: int) -> dict[str, Any]:
    """Of the campaigns with a budget: what they spent of it, how far they were off their plan at the end of
    any hour, as a share of the budget, and whether any was overspent by more than what is on its way."""
    has = ~np.isnan(day.limits)
    limits, spent = day.limits[has], day.spent[:, has]
    plan = np.array([planned(tuple(map(float, CURVE)), hour * 3600) for hour in range(HOURS)] + [1.0])
    apart = (spent - plan[:, None] * limits) / limits
    over = np.maximum(0, spent[-1] - limits)
    return {
        "processes": processes,
        "requests": day.answered,
        "campaigns with a budget": int(has.sum()),
        "spent of all budgets": round(float(spent[-1].sum() / limits.sum()), 4),
        "least spent of a budget": round(float((spent[-1] / limits).min()), 4),
        "most spent of a budget": round(float((spent[-1] / limits).max()), 4),
        "campaigns within 5% of their budget": int((np.abs(apart[-1]) <= 0.05).sum()),
        "all budgets, furthest from plan at an hour": round(
            float(np.abs((apart * limits).sum(axis=1)).max() / limits.sum()), 4
        ),
        "a campaign, furthest from plan at an hour": round(float(np.abs(apart).max()), 4),
        "overspent by more than a request a process": int((over > processes * day.most[has] + 1e-6).sum()),
        "spent without budgets": round(float(natural[has].sum() / limits.sum()), 3),
    }


def main(
    requests: int = 20_000,
    processes: Annotated[list[int] | None, typer.Option(help="how many, each a day of its own")] = None,
    seed: int = 0,
    quick: Annotated[bool, typer.Option("--quick", help="2,500 requests")] = False,
    work: Annotated[Path, typer.Option(help="where the bundle is kept")] = Path("build/budgets"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Run the days, and print and save what was spent."""
    began, requests = time.perf_counter(), 2_500 if quick else requests
    about = days(work, requests, processes or [1, 4], seed)
    about |= {"seed": seed, "quick": quick, "seconds": round(time.perf_counter() - began, 1)}
    show(about)
    save("budgets-quick" if quick else "budgets", about, results)


def days(work: Path, requests: int, processes: list[int], seed: int) -> dict[str, Any]:
    """A day without budgets, and one with them for each number of processes."""
    store, campaigns, start = scene(work)
    none = np.full(len(campaigns.ids), np.nan)
    natural = a_day(store, campaigns, none, requests, max(processes), start, seed).spent[-1]
    limits = budgets(natural, np.random.default_rng(seed))
    return {
        "of": "impressions, each at the ad's bid",
        "days": [
            judged(a_day(store, campaigns, limits, requests, n, start, seed), natural, n) for n in processes
        ],
    }


def scene(work: Path) -> tuple[Path, Campaigns, int]:
    """A store, its campaigns, and the day after the data."""
    path, data = world_of(work, USERS, ADS, 20.0)
    config = small_config(path, rules=[RULE])
    store = work / "indexes-budgets"
    if not (store / "CURRENT").exists():
        made(config, data, work, "budgets")
    codes = data.items["campaign"].astype("category").cat.codes.to_numpy().astype(np.int64)
    ids = [np.flatnonzero(codes == c).tolist() for c in range(codes.max() + 1)]
    start = (int(data.events["time"].max()) // DAY + 1) * DAY
    return store, Campaigns(codes, data.items["bid"].to_numpy(dtype=np.float64), ids), start


def budgets(natural: Float64, rng: np.random.Generator) -> Float64:
    """40 to 80% of what was spent without, for each second campaign by what that is; NaN for the others."""
    order = np.argsort(-natural, kind="stable")
    limits = np.full(len(natural), np.nan)
    limits[order[::2]] = natural[order[::2]] * rng.uniform(0.4, 0.8, size=len(order[::2]))
    return np.where(limits > 0, limits, np.nan)


def show(about: dict[str, Any]) -> None:
    """A column a day."""
    table = Table("", *(f"{day['processes']} processes" for day in about["days"]), title="A day of budgets")
    for name in about["days"][0]:
        table.add_row(name, *(f"{day[name]:,}" for day in about["days"]))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
