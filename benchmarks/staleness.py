"""What a bundle loses with its age, and by which moment its requests are best answered.

    python -m benchmarks.staleness

Bundles of one made-up world, whose data end at a day's start, a day before, and a week before, are asked for
the next item of the same clicks of that day: with the events since then observed or not, and with requests
about the end of the bundle's data or about the clock (of the log). Towers and ranker are trained for each.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.serving import RESULTS, save
from funnel import Live
from funnel.artifacts import Store
from funnel.config import parse
from funnel.data import Dataset
from funnel.data.readers.synthetic import read_world
from funnel.evaluation import paired
from funnel.pipeline import build, prepare, train_towers
from funnel.synthetic import SyntheticConfig, write_world

DAY = 86_400
MODES = ("observed, end of data", "observed, clock", "not observed, end of data", "not observed, clock")


def built(data: Dataset, before: int, folder: Path, seed: int) -> Store:
    """A published bundle of the events before a time."""
    known = data.events[data.events["time"] < before]
    Dataset.from_frames(data.schema, known, data.users, data.items).save(folder / "data")
    config = parse(
        {
            "name": "stale", "seed": seed, "data": {"reader": "folder", "path": str(folder / "data")},
            "split": {"kind": "time", "protocol": "event", "ranker": 0.85, "test": 0.93},
            "towers": {"d": 32, "layers": 1, "epochs": 8, "history": 30}, "ranker": {"trees": 150},
            "evaluate": {"ks": [10], "latency_requests": 1},
        }
    )  # fmt: skip
    prepared, store = prepare(config), Store(folder / "indexes")
    version = build(prepared, train_towers(prepared, Store(folder / "embeddings")), store).version
    store.publish(version)
    return store


def gain(live: Live, event: Any, at: int | None) -> float:
    """NDCG@10 of one answer, whose only right item is the next one clicked."""
    items = [one.item_id for one in live.recommend(event.user_id, 10, time=at).items]
    return 1 / np.log2(items.index(event.item_id) + 2) if event.item_id in items else 0.0


def replayed(store: Store, events: pd.DataFrame, asked: set[int]) -> np.ndarray[Any, Any]:
    """NDCG@10 of each event that is asked for, in each mode: [requests, modes]."""
    silent = Live(store.folder)
    with tempfile.TemporaryDirectory() as place:
        from funnel.serving.state import SqliteLog

        listening = Live(store.folder, state=SqliteLog(Path(place) / "state.sqlite"))
        found = []
        for event in events.itertuples():
            if event.Index in asked:
                found.append(
                    [gain(live, event, at) for live in (listening, silent) for at in (None, int(event.time))]
                )
            listening.observe((event.user_id, event.item_id, int(event.time)))
    return np.array(found)


def main(
    users: int = 3000,
    items: int = 2000,
    clicks: Annotated[float, typer.Option(help="events of a user, on average")] = 40.0,
    requests: int = 3000,
    seed: int = 0,
    work: Annotated[Path | None, typer.Option(help="where bundles are kept")] = None,
    results: Annotated[Path, typer.Option(help="where the JSON file goes")] = RESULTS,
) -> None:
    """Build, replay, and print what each age and each moment comes to."""
    folder = Path(tempfile.mkdtemp()) if work is None else work
    world = SyntheticConfig(users=users, items=items, events_per_user=clicks, seed=seed)
    if not (folder / "world").exists():
        write_world(world, folder / "world")
    data = read_world(folder / "world")
    start = (int(data.events["time"].max()) // DAY - 1) * DAY
    day = data.events[(data.events["time"] >= start) & (data.events["time"] < start + DAY)]
    asked = set(np.random.default_rng(seed).permutation(day.index)[:requests].tolist())
    console, rows = Console(), {}
    fresh: np.ndarray[Any, Any] | None = None
    for age in (0, 1, 7):
        before = start - age * DAY
        place = folder / f"age-{age}"
        store = Store(place / "indexes")
        if store.published() is None:
            shutil.rmtree(place, ignore_errors=True)
            store = built(data, before, place, seed)
        events = data.events[(data.events["time"] >= before) & (data.events["time"] < start + DAY)]
        found = replayed(store, events, asked)
        fresh = found if fresh is None else fresh
        rows[age] = [
            {"mode": mode, "ndcg@10": float(found[:, i].mean()), **_beside(found[:, i], fresh[:, 0], seed)}
            for i, mode in enumerate(MODES)
        ]
        console.log(f"{age} days: {[round(row['ndcg@10'], 4) for row in rows[age]]}")
    table = Table(
        "data end", *MODES, title=f"NDCG@10 of {len(asked)} clicks of one day", title_justify="left"
    )
    for age, row in rows.items():
        cells = [
            f"{one['ndcg@10']:.4f} ({one['less']:+.4f} [{one['lo']:.4f}, {one['hi']:.4f}])" for one in row
        ]
        table.add_row(f"{age} days before it", *cells)
    console.print(table)
    about = {
        "world": world.model_dump(), "requests": len(asked), "seed": seed,
        "ages_in_days": {str(age): row for age, row in rows.items()},
        "less": "than a bundle whose data end at the day's start, observed, asked about the end of its data",
        "seconds": round(time.process_time(), 1),
    }  # fmt: skip
    save("staleness", about, results)


def _beside(found: Any, other: Any, seed: int) -> dict[str, float]:
    difference = paired(found, other, seed=seed)
    return {"less": difference.mean, "lo": difference.lo, "hi": difference.hi}


if __name__ == "__main__":
    typer.run(main)
