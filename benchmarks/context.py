"""What knowing the moment of a request is worth: NDCG@10 with the context and without.

    python -m benchmarks.context [--quick]
    python -m benchmarks.context --trivago ../shared/data/trivago-100k

A made-up world in which the placement decides what is clicked, whose best order is known; and trivago's hotel
search, with the platform and the device of each list. The same towers, ranker and test requests each time,
once with the columns and once with `context.columns = []`; each is trained anew.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import typer
from rich.console import Console

from benchmarks.context_world import PlacementWorld, placement_world
from benchmarks.serving import RESULTS, save
from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.config import Config
from funnel.data import Dataset, read
from funnel.evaluation import compute, paired
from funnel.gates.serving import answers
from funnel.pipeline import Prepared, build, prepare, train_towers
from funnel.types import Float32

K = 10
Gains = np.ndarray[Any, np.dtype[np.float64]]

#: users, items, events a user, epochs of the towers, trees.
QUICK, WHOLE = (400, 200, 30, 12, 80), (3000, 1000, 50, 40, 300)


def world_config(epochs: int, trees: int, seed: int, columns: list[str] | None) -> Config:
    """What both sides of the world are built with; columns: None for all that are declared."""
    context = {} if columns is None else {"columns": columns}
    return configs.configure(
        "context", seed=seed, context=context,
        split={"kind": "time", "protocol": "event", "ranker": 0.7, "test": 0.85, "max_requests": 6000},
        towers={"d": 32, "layers": 1, "epochs": epochs, "history": 50}, ranker={"trees": trees},
        evaluate={"ks": [K], "latency_requests": 1},
    )  # fmt: skip


def measured(config: Config, data: Dataset, work: Path) -> tuple[dict[str, Any], dict[str, Gains], Prepared]:
    """Train and build; figures, and NDCG@10 of each test request, as retrieved and as shown at last."""
    began = time.perf_counter()
    prepared = prepare(config, data)
    towers = train_towers(prepared, Store(work / "embeddings"))
    built = build(prepared, towers, Store(work / "indexes"))
    seconds = time.perf_counter() - began
    contents, test = load_contents(built.folder), prepared.split.test
    lists = {
        "retrieved": answers(contents.without_ranker(), test.requests),
        "final": answers(contents, test.requests),
    }
    gains = {name: compute(f"ndcg@{K}", items, test.targets) for name, items in lists.items()}
    about = {
        "seconds": round(seconds, 1),
        "ranker": contents.ranker is not None,
        **{name: round(float(one.mean()), 5) for name, one in gains.items()},
    }
    return about, gains, prepared


def beside(with_it: dict[str, Gains], without: dict[str, Gains], users: Any, seed: int) -> dict[str, Any]:
    """How many times as good, and the paired difference with its interval, of each list."""
    found = {}
    for name, gains in with_it.items():
        apart = paired(gains, without[name], clusters=users, seed=seed)
        found[name] = {
            "times": round(float(gains.mean() / without[name].mean()), 3),
            "difference": [round(value, 5) for value in (apart.mean, apart.lo, apart.hi)],
        }
    return found


def best(world: PlacementWorld, prepared: Prepared) -> dict[str, float]:
    """NDCG@10 of the true order of each test request, with the placement and without."""
    test, context = prepared.split.test, prepared.context
    assert context is not None
    places = [int(name.split()[1]) for name in context.values("placement")]
    placements = np.array([0, *places])[test.requests.context["placement"]]
    return {
        name: round(
            float(
                compute(f"ndcg@{K}", _top(world.scores(test.requests.users, at), test), test.targets).mean()
            ),
            5,
        )
        for name, at in (("with", placements), ("without", None))
    }


def _top(scores: Float32, test: Any) -> Any:
    exclude = test.requests.exclude
    if exclude is not None:
        scores[exclude.list_of, exclude.values] = -np.inf
    return np.argsort(-scores, axis=1)[:, :K].astype(np.int32)


def on_world(size: tuple[int, int, int, int, int], seed: int, work: Path) -> dict[str, Any]:
    """The made-up world."""
    users, items, events, epochs, trees = size
    world = placement_world(users=users, items=items, events_per_user=events, seed=seed)
    sides, ideal = {}, {}
    for name, columns in (("with", None), ("without", [])):
        about, gains, prepared = measured(
            world_config(epochs, trees, seed, columns), world.data, work / f"{name}-{seed}"
        )
        sides[name] = (about, gains)
        ideal = ideal or best(world, prepared)
    apart = beside(sides["with"][1], sides["without"][1], prepared.split.test.requests.users, seed)
    abouts = {name: about for name, (about, _) in sides.items()}
    return {
        "seed": seed,
        "users": users,
        "items": items,
        "true order": ideal,
        **abouts,
        "with / without": apart,
    }


def on_trivago(path: Path, seed: int, work: Path) -> dict[str, Any]:
    """The platform and the device of trivago's lists."""
    sides, users = {}, None
    for name, columns in (("with", ("platform", "device")), ("without", ())):
        config = configs.load(configs.packaged("trivago.toml"), data=path)
        context = config.context.model_copy(update={"columns": columns})
        config = config.model_copy(update={"seed": seed, "context": context})
        about, gains, prepared = measured(config, read(config.data), work / f"{name}-{seed}")
        sides[name], users = (about, gains), prepared.split.test.requests.users
    apart = beside(sides["with"][1], sides["without"][1], users, seed)
    return {"seed": seed, **{name: about for name, (about, _) in sides.items()}, "with / without": apart}


def main(
    quick: Annotated[bool, typer.Option(help="a small world, in a few minutes")] = False,
    trivago: Annotated[
        Path | None, typer.Option(help="a folder of trivago's log, in place of the world")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 1,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Measure, print and write."""
    name = "context-trivago" if trivago is not None else "context-quick" if quick else "context"
    found = []
    with tempfile.TemporaryDirectory() as place:
        for seed in range(seeds):
            if trivago is not None:
                found.append(on_trivago(trivago, seed, Path(place)))
            else:
                found.append(on_world(QUICK if quick else WHOLE, seed, Path(place)))
            Console().print_json(data=found[-1])
    save(name, {"k": K, "runs": found}, results)


if __name__ == "__main__":
    typer.run(main)
