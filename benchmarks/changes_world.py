"""Catalogues of any size for benchmarks/changes.py: made once, and kept in its work folder."""

from __future__ import annotations

from pathlib import Path

from benchmarks.enlarge import main as enlarge
from funnel import config as configs
from funnel.artifacts import Store
from funnel.pipeline import prepare, train_towers
from funnel.synthetic import SyntheticConfig, write_world

#: Ads and users of the world that the towers are trained on: what an ad costs to change does not depend on
#: how well they rank.
ADS, USERS = 2_000, 2_000


def catalogue(work: Path, items: int) -> Path:
    """The store with a bundle of so many items. Towers of 64 numbers, trained for one epoch on 2,000 ads of a
    synthetic world; the further ads are put together from the columns of those."""
    store = work / f"indexes-{items}"
    if not store.exists() or not Store(store).versions():
        enlarge(_world(work), items, work / "embeddings", store, 200, 0)
    return store


def _world(work: Path) -> Path:
    """The world, with towers in `work/embeddings`."""
    world, embeddings = work / "world", Store(work / "embeddings")
    if not world.exists():
        write_world(SyntheticConfig(items=ADS, users=USERS), world)
    if not embeddings.versions():
        raw = {
            "name": "base", "data": {"reader": "synthetic", "path": str(world)},
            "split": {"kind": "time", "ranker": 0.9, "test": 0.95, "max_requests": 500},
            "towers": {"epochs": 1, "history": 20},
        }  # fmt: skip
        train_towers(prepare(configs.parse(raw)), embeddings)
    return world
