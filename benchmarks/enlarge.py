"""The same users and towers over a larger catalogue, to measure how fast a bundle of that size answers.

    python -m benchmarks.enlarge --data world --items 10000000 --indexes big

Each further ad takes every column from a random ad, and its vector is what the item tower makes of them, as
for any item without events. Its report is of few requests: how good it is, is not the question.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import typer
from rich.console import Console

from funnel.artifacts import Store
from funnel.config import parse
from funnel.data import Dataset, read
from funnel.pipeline import build
from funnel.pipeline.prepare import prepare_from
from funnel.pipeline.train import TRAINING, load_encoders


def larger(data: Dataset, items: int, seed: int) -> Dataset:
    """The data set with so many items, the further ones put together from the columns of those there."""
    rng, known, ids = np.random.default_rng(seed), data.items, data.items["item_id"].to_numpy()
    n = items - len(known)
    if n <= 0:
        return data
    columns = {
        name: known[name].take(rng.integers(len(known), size=n)).reset_index(drop=True)
        for name in known.columns
        if name != "item_id"
    }
    further = pd.DataFrame({"item_id": np.arange(ids.max() + 1, ids.max() + 1 + n), **columns})
    return replace(data, items=pd.concat([known, further], ignore_index=True))


def main(
    data: Annotated[Path, typer.Option(help="the data that the towers were trained on")],
    items: int = 10_000_000,
    embeddings: Annotated[Path, typer.Option(help="where the newest version is taken from")] = Path(
        "embeddings"
    ),
    indexes: Annotated[Path, typer.Option(help="where the bundle is published")] = Path("big"),
    requests: Annotated[int, typer.Option(help="of the ranker and of the report")] = 200,
    seed: int = 0,
) -> None:
    """Build and publish."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    began = time.perf_counter()
    newest = Store(embeddings).versions()[0].version
    towers = Store(embeddings).path(newest)
    kept = {name: Store(embeddings).verify(newest).config[name] for name in ("seed", "towers", "split")}
    kept["split"] = {{"reading": "protocol"}.get(key, key): value for key, value in kept["split"].items()}
    config = parse(
        {
            **kept, "name": "larger", "data": {"reader": "synthetic", "path": str(data)},
            "split": {**kept["split"], "max_requests": requests},
            "ranker": {"trees": 20}, "evaluate": {"latency_requests": 5}, "gates": {"holdout": 20},
        }
    )  # fmt: skip
    encoders = load_encoders(towers / TRAINING)
    read_at = time.time()
    dataset = replace(larger(read(config.data), items, seed), truth=None)
    built = build(prepare_from(config, dataset, read_at, encoders), towers, Store(indexes))
    Store(indexes).publish(built.version)
    Console().print(f"{built.version}: {len(dataset.items):,} items, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    typer.run(main)
