"""A small world from its data to a bundle: what compiles all that training, building and serving need."""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from funnel.artifacts import Store
from funnel.config import Config
from funnel.pipeline.build import build
from funnel.pipeline.prepare import prepare
from funnel.pipeline.train import train_towers
from funnel.policies.example import draw_lists
from funnel.serving.warm import Warmed, counts, warm, warmed

#: As many ads and users as the ranker's folds and a list of candidates take; ratings have moments, ads texts.
_WORLD: dict[str, Any] = {
    "name": "example",
    "data": {
        "reader": "synthetic",
        "synthetic": {"items": 300, "users": 300, "events_per_user": 12, "days": 20},
    },
    "split": {"kind": "time", "protocol": "event", "max_requests": 300},
    "towers": {"epochs": 1, "d": 16},
    "ranker": {"trees": 10},
    "retrieve": {"k": 50},
    "rerank": {"trade_off": 0.8},
    "evaluate": {"ks": [10, 50], "latency_requests": 10},
}


def warm_everything() -> Warmed:
    """Make a small world and a bundle of it in a scratch folder, serve it in each way there is, and keep what
    was compiled beside the package, so that later processes find it. A second process, at the same time,
    draws lists under rules, which take as long to compile as all the rest.

    Raises: FunnelError when the code cannot be kept anywhere.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as beside:
        drawing = beside.submit(_warm_drawing)
        whole, drawn = _warm_serving(), drawing.result()
    return replace(
        whole,
        compiled=whole.compiled + drawn.compiled,
        kept=whole.kept + drawn.kept,
        folders=whole.folders | drawn.folders,
    )


def _warm_drawing() -> Warmed:
    before = counts()
    draw_lists()
    return warmed("lists", before)


def _warm_serving() -> Warmed:
    before = counts()
    with tempfile.TemporaryDirectory(prefix="funnel-example-") as scratch:
        config = Config.model_validate(
            {**_WORLD, "data": {**_WORLD["data"], "path": str(Path(scratch, "data"))}}
        )
        prepared = prepare(config)
        store = Store(Path(scratch, "indexes"))
        built = build(prepared, train_towers(prepared, Store(Path(scratch, "embeddings"))), store)
        return warm(store.folder, built.version, since=before)
