"""Whole-number ids last night, text tonight, and back: what was acknowledged is kept and blocks nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from tests.serving.test_items import frame, ids
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild


def with_text_ids(folder: Path) -> None:
    """The same bundle with its item ids as text, padded so that they sort as the numbers do."""
    own = Catalogue.load(folder / "items")
    texts = np.array([f"{number:03d}" for number in own.ids.values])
    table = own.frame.copy()
    table["item_id"] = texts
    features = {name: np.array(column) for name, column in own.features.items()}
    Catalogue(Vocabulary(texts), table, features, own.encoder).save(folder / "items.new")
    shutil.rmtree(folder / "items")
    (folder / "items.new").rename(folder / "items")
    np.save(folder / "towers" / "item_ids.npy", texts)


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def test_a_text_id_does_not_block_the_way_back(store: Store) -> None:
    live = Live(store.folder)
    old, text = live.version, variant(store, with_text_ids)
    store.publish(text)
    assert live.refresh()
    live.items.upsert(frame(["B7", "902"], [1990.0, 1991.0], ["Western"]))
    live.items.delete(["103"])
    assert {"B7", "902"} == set(ids(live.recommend("x", where={"genres": "Western"})))
    store.publish(old)
    assert live.refresh()
    again = Live(store.folder)
    for one in (live, again):
        assert one.version == old
        assert ids(one.recommend("x", where={"genres": "Western"})) == [902]
        assert 103 not in ids(one.recommend("x", 500))
        assert one.health()["state"]["skipped"] == 1
        one.close()


def test_a_text_id_survives_the_way_back_and_forth(store: Store) -> None:
    live = Live(store.folder)
    old, text = live.version, variant(store, with_text_ids)
    store.publish(text)
    live.refresh()
    live.items.upsert(frame(["B7"], [1990.0], ["Western"]))
    live.observe((7, "B7"))
    for version in (old, text):
        store.publish(version)
        live.refresh()
    assert live.version == text
    assert ids(live.recommend("x", where={"genres": "Western"})) == ["B7"]
    assert live.history(7)[-1] == "B7"
    live.close()


def test_many_events_of_a_new_text_id_stop_no_process(store: Store) -> None:
    store.publish(variant(store, with_text_ids))
    live, other = Live(store.folder), Live(store.folder)
    live.items.upsert(frame(["B7"], [1990.0], ["Western"]))
    live.observe(*[(f"visitor {number}", "B7") for number in range(70)])
    new = Live(store.folder)
    for one in (live, other, new):
        assert one.history("visitor 69") == ["B7"]
        assert len(one.recommend_many([f"visitor {number}" for number in range(70)])) == 70
        assert one.contents.statistics.events.observed.count == 70
    assert other.items.patch(["B7"] * 70, {"year": 1991.0}) == []
    assert live.items.get("B7")["year"] == 1991.0  # type: ignore[index]
    for one in (live, other, new):
        one.close()
