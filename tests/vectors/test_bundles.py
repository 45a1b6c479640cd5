"""Bundles whose vectors are kept in fewer bytes, and whose index is in shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import funnel
from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.errors import ConfigError
from funnel.index import ExactIndex, FaissIndex
from funnel.vectors import Form, ItemVectors
from tests.tiny import GENRES, TinyBuild
from tests.undrawn import build

FORMS: tuple[Form, ...] = ("float16", "int8")


@pytest.fixture(scope="module", params=FORMS)
def store(
    built: TinyBuild, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """A bundle of the same towers, with an index of three shards over vectors of a form."""
    store = Store(tmp_path_factory.mktemp(request.param) / "indexes")
    store.publish(compact(built, request.param, store.folder).version)
    return store


def compact(built: TinyBuild, form: Form, indexes: Path) -> Any:
    raw = built.config.model_dump()
    raw["index"] |= {"vectors": form, "shards": 3, "spec": "IVF8,PQ16x4fs"}
    (towers,) = built.embeddings.glob("movies-*")
    prepared = replace(built.prepared, config=configs.parse(raw))
    return build(prepared, towers, funnel.Store(indexes))


def contents_of(store: Store) -> Contents:
    return load_contents(store.path("current"))


def test_the_vectors_are_the_towers_in_fewer_bytes(built: TinyBuild, store: Store) -> None:
    (towers,) = built.embeddings.glob("movies-*")
    trained = np.load(built.built.folder / "towers" / "item_vectors.npy")
    contents = contents_of(store)
    assert contents.vectors.form in FORMS
    np.testing.assert_array_equal(
        contents.vectors.stored, ItemVectors.of(trained).kept(contents.vectors.form).stored
    )
    assert np.load(towers / "item_vectors.npy").dtype == np.float32
    assert isinstance(contents.index, FaissIndex)
    assert contents.index.info.shards == 3
    report = (store.path("current") / "report.json").read_text()
    assert '"recall"' in report


@pytest.mark.parametrize("store", ["int8", "float16"], indirect=True)
def test_the_same_inputs_give_the_same_fingerprint(built: TinyBuild, store: Store, tmp_path: Path) -> None:
    again = compact(built, contents_of(store).vectors.form, tmp_path / "indexes")
    first, second = store.verify("current"), Store(tmp_path / "indexes").verify(again.version)
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != Store(built.indexes).verify(built.built.version).fingerprint


def test_every_stage_reads_what_is_stored(built: TinyBuild, store: Store) -> None:
    """As a bundle gives that holds the same values as float32."""
    own, requests = contents_of(store), built.prepared.split.test.requests
    plain = ItemVectors.of(np.asarray(own.vectors))
    lists = []
    for vectors in (own.vectors, plain):
        encoder = replace(own.encoder, item_vectors=vectors)
        contents = replace(own, encoder=encoder, index=ExactIndex(vectors))
        matrix = contents.candidate_features().matrix(requests, contents.retriever(20)(requests))
        lists.append((contents.funnel(10)(requests).items, matrix))
    assert (lists[0][0] == lists[1][0]).mean() > 0.98
    assert np.isclose(lists[0][1], lists[1][1], rtol=1e-3, atol=1e-4, equal_nan=True).mean() > 0.98


def row(item_id: int, year: float) -> pd.DataFrame:
    genres = [[GENRES[int(year * 7) % len(GENRES)]]]
    return pd.DataFrame(
        {"item_id": [item_id], "title": [f"Movie {item_id} ({year})"], "genres": genres, "year": [year]}
    )


def test_items_come_and_go_over_stored_vectors(store: Store) -> None:
    live = Live(store.folder)
    form = live.contents.vectors.form
    own = contents_of(store)
    again = own.catalogue.frame.iloc[:1].assign(item_id=own.catalogue.ids.values[:1])
    live.items.upsert(again)
    np.testing.assert_array_equal(live.contents.vectors.part(0, 1).stored, own.vectors.part(0, 1).stored)
    live.items.upsert(row(5000, 1999.0))
    new = int(live.contents.catalogue.ids.rows([5000])[0])
    vector = live.contents.vectors[new]
    np.testing.assert_array_equal(
        live.contents.vectors.part(new, new + 1).stored, ItemVectors.of(vector[None]).kept(form).stored
    )
    k = len(own.catalogue.ids) + 1
    before = live.contents.index.search(vector[None], k)
    assert before[0][0].tolist().index(new) < 50
    live.items.compact()
    compacted = live.contents.index.base  # type: ignore[attr-defined]
    assert (compacted.info.shards, compacted.size) == (3, k)
    after = live.contents.index.search(vector[None], 20)
    assert new in after[0]
    victim = live.recommend(7).items[0].item_id
    live.items.delete([victim])
    assert victim not in [item.item_id for item in live.recommend(7).items]
    assert live.similar(5000, 5).items
    live.close()
    live = Live(store.folder)  # as another process reads the log
    np.testing.assert_array_equal(live.contents.vectors[new], vector)
    live.close()


def test_more_shards_than_items_is_said_before_any_work(built: TinyBuild, tmp_path: Path) -> None:
    raw = built.config.model_dump()
    raw["index"] |= {"shards": 201}
    prepared = replace(built.prepared, config=configs.parse(raw))
    (towers,) = built.embeddings.glob("movies-*")
    with pytest.raises(ConfigError, match=r"index\.shards is 201, and there are 200 items"):
        funnel.build(prepared, towers, funnel.Store(tmp_path / "indexes"))


@pytest.mark.parametrize(
    ("key", "value"), [("vectors", "int4"), ("shards", 0), ("shards", 1.5), ("vectors", 8)]
)
def test_other_forms_and_numbers_are_refused(built: TinyBuild, key: str, value: Any) -> None:
    raw = built.config.model_dump()
    raw["index"] |= {key: value}
    with pytest.raises(ConfigError, match=rf"index\.{key}"):
        configs.parse(raw)
