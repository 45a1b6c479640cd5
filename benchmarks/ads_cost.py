"""What context, two heads, a value and five rules cost a request, at a million ads.

    python -m benchmarks.ads_cost [--items 1000000]

Two bundles of one made-up world: as `configs/synthetic-ads.toml` has it, and with clicks alone, as one has it
who knows of nothing else. Users are few and towers are trained for one epoch: it is what a request costs that
is measured, not how good its list is. `Live.recommend` of both in turns on one core, results in
`benchmarks/results/ads-cost.json`.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.ads import PLAIN, config_of
from benchmarks.ads_measure import p50
from benchmarks.ads_world import made
from benchmarks.serving import RESULTS, pin, save
from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.data import read

#: What a request costs does not depend on: users, epochs, requests that are judged.
SMALL: dict[str, Any] = {
    "towers": {"epochs": 1},
    "split": {"ranker": 0.7, "max_requests": 1500},
    "evaluate": {"latency_requests": 5},
    "gates": {"reachable": 0.0},
}


def main(
    items: int = 1_000_000,
    users: int = 3_000,
    rounds: int = 1_010,
    work: Annotated[Path, typer.Option(help="where the world and bundles are kept")] = Path("build/ads-cost"),
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Build what is not there, measure, print and save."""
    console, work = Console(), work / str(items)
    stores = {name: Store(work / f"indexes-{name}") for name in ("plain", "whole")}
    if not all(store.published() for store in stores.values()):
        _build(work, items, users)
    pin(0)
    lives = {name: Live(store.folder) for name, store in stores.items()}
    trees = {name: _trees(live) for name, live in lives.items()}
    found = p50(lives, list(range(200)), {"placement": "placement-1", "device": "phone"}, rounds)
    about = {
        "items": items, "users": users, "rounds": rounds, "trees": trees,
        "candidates": lives["whole"].contents.retrieve.k, "milliseconds, p50": found,
        "times": round(found["whole"] / found["plain"], 3),
    }  # fmt: skip
    for live in lives.values():
        live.close()
    console.print(about)
    save("ads-cost", about, results)


def _build(work: Path, items: int, users: int) -> None:
    sizes = {"data": {"synthetic": {"items": items, "users": users}}}
    whole = config_of(False, 0, work / "world", **{**SMALL, **sizes})
    data = read(whole.data)
    made(whole, data, work, "whole")
    plain = config_of(False, 0, work / "world", **{**SMALL, **sizes, **PLAIN})
    made(plain.model_copy(update={"rank": configs.RankConfig(), "rules": ()}), data, work, "plain")


def _trees(live: Live) -> dict[str, int]:
    """Of the order, and of each head that has trees of its own."""
    ranker, heads = live.contents.ranker, live.contents.head_trees
    assert ranker is not None
    return {"order": ranker.trees, **{name: trees.trees for name, trees in heads.items()}}


if __name__ == "__main__":
    typer.run(main)
