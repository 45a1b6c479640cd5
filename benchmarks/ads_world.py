"""The made-up world of ads for benchmarks: its config, and bundles of it in a work folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from funnel import config as configs
from funnel.artifacts import Store
from funnel.config import Config
from funnel.data import Dataset
from funnel.data.readers.synthetic import read_world
from funnel.pipeline import Built, Prepared, build, prepare, train_towers
from funnel.synthetic import AdsConfig, SyntheticConfig, write_world


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Sections of a config, later ones above earlier ones."""
    out: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            inner = isinstance(value, dict) and isinstance(out.get(key), dict)
            out[key] = merged(out[key], value) if inner else value
    return out


def world_of(
    folder: Path, users: int, ads: int, clicks: float, seed: int = 0, **more: Any
) -> tuple[Path, Dataset]:
    """The world of so many users, ads and clicks a user, made once. more: of `[data.synthetic.ads]`."""
    path = folder / f"world-{users}-{ads}-{clicks:g}-{seed}"
    if not path.exists():
        write_world(
            SyntheticConfig(
                users=users, items=ads, events_per_user=clicks, seed=seed, late=0.0, ads=AdsConfig(**more)
            ),
            path,
        )
    return path, read_world(path)


def small_config(world: Path, **sections: Any) -> Config:
    """Towers and trees that are quick to train: for what does not depend on how good the order is."""
    raw: dict[str, Any] = {
        "name": "ads", "data": {"reader": "synthetic", "path": str(world)},
        "events": {"history": {"click": 1.0, "purchase": 2.0}},
        "split": {"kind": "time", "protocol": "event", "ranker": 0.9, "test": 0.95, "max_requests": 300},
        "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 1, "history": 10},
        "ranker": {"trees": 20, "lists": 300}, "retrieve": {"k": 200},
        "evaluate": {"ks": [10], "latency_requests": 1},
    }  # fmt: skip
    return configs.parse(json.loads(json.dumps({**raw, **sections})))


def made(config: Config, data: Dataset, work: Path, name: str) -> tuple[Prepared, Built, Store]:
    """A published bundle. Towers that the same config trained before are taken from the work folder."""
    prepared, store = prepare(config, data), Store(work / f"indexes-{name}")
    built = build(prepared, train_towers(prepared, Store(work / "embeddings")), store)
    store.publish(built.version)
    return prepared, built, store
