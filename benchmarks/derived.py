"""A bundle made from a bundle for a benchmark: the same files but for the parts that are other ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving import sized
from funnel.artifacts import Store
from funnel.artifacts.manifest import Manifest
from funnel.bundle.contents import Contents, load_contents, save_settings
from funnel.catalogue.users import Users
from funnel.data import Vocabulary
from funnel.errors import DataError
from funnel.types import Ragged

#: Users whose histories are put together in one go: it bounds the memory that is not the result.
_BLOCK = 500_000


def derive(store: Store, source: Path, name: str, contents: Contents, parts: Sequence[str]) -> str:
    """The version of a bundle in `store` that is `source` but for the settings and parts of `contents`.

    parts: of "items", "users", "ranker" and "statistics", those that differ.
    """
    about = Manifest.load(source)
    tables = {"items": contents.catalogue, "users": contents.users, "ranker": contents.ranker,
              "statistics": contents.statistics}  # fmt: skip
    with store.writing(name) as draft:
        shutil.copytree(source, draft.folder, dirs_exist_ok=True, ignore=_but(source, parts))
        for part in parts:
            table = tables[part]
            assert table is not None
            table.save(draft.folder / part)
        save_settings(draft.folder, contents)
        draft.describe(
            towers_fingerprint=about.towers_fingerprint,
            schema_fingerprint=about.schema_fingerprint,
            config=about.config,
        )
    return draft.version


def _but(source: Path, parts: Sequence[str]):  # type: ignore[no-untyped-def]
    """What `copytree` is to leave out."""
    return lambda folder, names: {*parts, "manifest.json"} & set(names) if Path(folder) == source else set()


def served(source: Path, work: Path, *, users: int | None, trees: int, leaves: int) -> tuple[Store, str]:
    """A bundle to measure, made from `source` once and kept in `work`.

    It has a ranker of so many trees over forty features, diversifies the best ten, and has so many users
    (default: its own).
    """
    store, work = Store(work / source.name / "indexes"), work / source.name
    contents = sized(load_contents(source), work, trees=trees, leaves=leaves)
    contents = replace(contents, rerank=contents.rerank.model_copy(update={"trade_off": 0.8}))
    name = f"users-{users or len(contents.users.ids)}-trees-{trees}x{leaves}"
    for one in store.versions():
        if one.name == name:
            return store, one.version
    if users is not None:
        contents = replace(contents, users=more_users(contents.users, users))
    # Statistics as they are written now, whatever funnel built the bundle.
    return store, derive(
        store, source, name, contents, ["ranker", "statistics"] + ["users"] * (users is not None)
    )


def more_users(users: Users, n: int, seed: int = 0) -> Users:
    """So many users: each further one has the history of a random one there, and each column of another.

    Raises: DataError where there are more than n, or where their ids are no whole numbers.
    """
    known, ids = len(users.ids), users.ids.values
    if n < known or ids.dtype.kind != "i":
        raise DataError(f"there are {known:,} users, of id {ids[0]!r}: {n:,} cannot be made of them")
    rng, further = np.random.default_rng(seed), n - known
    rows = np.concatenate([np.arange(known), rng.integers(known, size=further)])
    drawn = {name: rng.integers(known, size=further) for name in users.features}
    return replace(
        users,
        ids=Vocabulary(np.concatenate([ids, ids[-1] + 1 + np.arange(further)])),
        features={
            name: np.concatenate([values, values[drawn[name]]]) for name, values in users.features.items()
        },
        history=_taken(users.history, rows),
        history_times=_taken(users.history_times, rows),
    )


def _taken(lists: Ragged, rows: NDArray[np.int64]) -> Ragged:
    blocks = [lists.take(rows[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)]
    lengths = np.concatenate([block.lengths for block in blocks])
    return Ragged.from_lengths(np.concatenate([block.values for block in blocks]), lengths)
