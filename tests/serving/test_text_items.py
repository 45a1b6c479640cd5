"""New items whose title a model encodes: the same vector as at build, and a clear word where it is absent."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.data import Dataset, read
from funnel.errors import FunnelError
from funnel.features.text.cache import VARIABLE
from funnel.pipeline import prepare, train_towers
from tests.features.letters import Letters
from tests.tiny import movie_config, write_movies
from tests.undrawn import build


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle whose titles are encoded by a stand-in; each title says its genres."""
    folder = tmp_path_factory.mktemp("texts")
    write_movies(folder, users=80, movies=60, seed=1)
    config = movie_config(folder)
    data = read(config.data)
    columns = [
        column.model_copy(update={"encoder": "letters"}) if column.name == "title" else column
        for column in data.schema.items
    ]
    schema = data.schema.model_copy(update={"items": tuple(columns)})
    items = data.items.assign(title=[" ".join(genres) for genres in data.items["genres"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder / "kept"))
        prepared = prepare(config, Dataset.from_frames(schema, data.events, None, items, name="movies"))
        towers = train_towers(prepared, Store(folder / "embeddings"))
        store = Store(folder / "indexes")
        store.publish(build(prepared, towers, store).version)
        yield store


def row(item_id: int, title: str | None) -> pd.DataFrame:
    return pd.DataFrame({"item_id": [item_id], "title": [title], "genres": [None], "year": [None]})


def vectors(live: Live, name: str, ids: list[int]) -> Any:
    contents = live.served().contents
    return np.asarray(contents.catalogue.features[name])[contents.catalogue.ids.rows(ids)]


def test_a_new_title_has_the_vector_that_it_would_have_at_build(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(pd.concat([row(9001, "Horror Sci-Fi"), row(9002, None)]))
    given = vectors(live, "title", [9001, 9002])
    assert np.array_equal(given[0], Letters().encode(["Horror Sci-Fi"])[0])
    assert not given[1].any()
    live.items.forget([9001, 9002])


def test_without_the_model_an_upsert_says_so_and_changes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    able = Live(store.folder)
    monkeypatch.setattr(Letters, "there", False)
    live = Live(store.folder)
    before = [item.item_id for item in live.recommend(1, 10).items]
    assert len(before) == 10  # it serves what it has
    with pytest.raises(FunnelError, match=r'pip install "funnel-rank\[text\]"'):
        live.items.upsert(row(9003, "Drama"))
    assert [item.item_id for item in live.recommend(1, 10).items] == before
    # What a process that has the model wrote is passed by here, and said.
    monkeypatch.setattr(Letters, "there", True)
    able.items.upsert(row(9004, "Comedy"))
    monkeypatch.setattr(Letters, "there", False)
    with caplog.at_level(logging.WARNING):
        assert [item.item_id for item in live.recommend(1, 10).items] == before
    assert "9004" in caplog.text
    assert "funnel-rank[text]" in caplog.text
    monkeypatch.setattr(Letters, "there", True)
    able.items.forget([9004])
