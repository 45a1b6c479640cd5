"""Two editions of a bundle for benchmarks/swaps.py: made once, and kept in its work folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.derived import derive
from benchmarks.serving import sized
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents

#: What every item of an edition has in its column `edition`.
EDITIONS = ("first", "second")


def editions(work: Path, *, items: int, trees: int = 300, leaves: int = 63, seed: int = 0) -> list[str]:
    """The versions of two bundles in `work/indexes`, one of each edition.

    A synthetic world's ads under towers of 64 numbers, trained for one epoch, and so many trees: how
    well they rank is not what is measured. All files are the same but for the column that tells whose an item
    is, so that an answer can be held against the version that it names.
    """
    store = Store(work / "indexes")
    if not store.versions():
        base = work / "base"
        if not Store(base).versions():
            _build(work, base, items, seed)
        for edition in EDITIONS:
            _write(base, store, work, edition, trees, leaves)
    there = [one.version for one in store.versions()]
    return [next(one for one in there if one.startswith(f"{edition}-")) for edition in EDITIONS]


def _build(work: Path, base: Path, items: int, seed: int) -> None:
    from funnel import config as configs
    from funnel.data import Dataset, Schema
    from funnel.data.readers.synthetic import read_world
    from funnel.data.schema import Column
    from funnel.pipeline import build, prepare, train_towers
    from funnel.synthetic import SyntheticConfig, write_world

    for part in ("world", "data"):
        shutil.rmtree(work / part, ignore_errors=True)
    write_world(SyntheticConfig(items=items, users=max(200, items // 5), seed=seed), work / "world")
    data = read_world(work / "world")
    edition = Column(name="edition", kind="category")
    schema = Schema(users=data.schema.users, items=(*data.schema.items, edition))
    Dataset.from_frames(schema, data.events, data.users, data.items.assign(edition="base")).save(
        work / "data"
    )
    raw: dict[str, Any] = {
        "name": "base", "seed": seed, "data": {"reader": "folder", "path": str(work / "data")},
        "split": {"kind": "time", "ranker": 0.9, "test": 0.95, "max_requests": 500},
        "towers": {"epochs": 1, "history": 20}, "ranker": {"trees": 5},
        "evaluate": {"ks": [10], "latency_requests": 1},
    }  # fmt: skip
    prepared = prepare(configs.parse(raw))
    build(prepared, train_towers(prepared, Store(work / "embeddings")), Store(base))


def _write(base: Path, store: Store, work: Path, edition: str, trees: int, leaves: int) -> None:
    """The base with a ranker of the stated size, and this edition's name on every item."""
    about = Store(base).versions()[0]
    source = base / about.version
    contents = sized(load_contents(source), work, trees=trees, leaves=leaves)
    contents = replace(contents, rerank=contents.rerank.model_copy(update={"trade_off": 0.8}))
    marked = contents.catalogue.frame.assign(edition=edition)
    contents = replace(contents, catalogue=replace(contents.catalogue, frame=marked))
    derive(store, source, edition, contents, ["items", "ranker"])
