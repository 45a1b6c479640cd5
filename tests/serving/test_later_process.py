"""A process that starts later knows of one log what one knows that ran meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from funnel import Live
from funnel.artifacts import Store
from tests.serving.test_items import frame
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


@pytest.mark.parametrize("looks", ["after each change", "at the end"])
def test_what_was_patched_before_a_deletion_stays_known(store: Store, looks: str) -> None:
    history = [1, 2, 3, 4, 900]
    writing, running = Live(store.folder), Live(store.folder)
    steps = [
        lambda: writing.items.upsert(frame([3, 900], [1950.0, 1951.0])),
        lambda: writing.items.patch(history, {"year": [3000.0 + one for one in history]}),
        lambda: writing.items.forget([4]),
        lambda: writing.items.delete(history),
    ]
    for step in steps:
        step()
        if looks == "after each change":
            running.recommend("x")
    told = []
    for live in (writing, running, Live(store.folder)):
        answer = live.recommend("x", 50, history=history)
        catalogue = live.contents.catalogue
        rows = catalogue.ids.rows(history)
        told.append(
            (
                catalogue.records(rows),
                catalogue.features["year"][rows].tolist(),
                [(item.item_id, item.score) for item in answer.items],
            )
        )
        assert not {item.item_id for item in answer.items} & set(history)
        live.close()
    assert told[0] == told[1] == told[2]
    years = [record["year"] for record in told[0][0]]
    assert years[:3] == [3001.0, 3002.0, 3003.0]
    assert years[4] == 3900.0


def test_a_new_item_that_is_forgotten_is_in_no_history(store: Store) -> None:
    running = Live(store.folder)
    running.items.upsert(frame([900, 901], [1990.0, 1991.0], ["Western"]))
    running.observe(("visitor", 5), ("visitor", 900), ("visitor", 901))
    running.items.forget([900])
    for live in (running, Live(store.folder)):
        assert live.history("visitor") == [5, 901]
        assert live.similar(900).reasons == ("unknown_item:900",)
        live.items.delete([10**5_000])  # an id that nobody has, beside new ones
        live.close()
    running.items.upsert(frame([900], [1992.0], ["Western"]))
    later = Live(store.folder)
    for live in (running, later):
        assert live.history("visitor") == [5, 900, 901]
        assert live.contents.catalogue.ids.take(live.contents.catalogue.ids.rows([900, 901])) == [900, 901]
        assert {item.item_id for item in live.recommend("x", where={"genres": "Western"}).items} == {900, 901}
        live.close()
