"""A change that cannot be written into a bundle is left out there alone: all others are, and it is told."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.features import Statistics
from funnel.serving.state import SqliteLog, overlay
from funnel.serving.state.log import Patch
from tests.serving.test_items import frame, ids
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def log_of(store: Store) -> SqliteLog:
    (store.folder / "live").mkdir(exist_ok=True)
    return SqliteLog(store.folder / "live" / "state.sqlite")


def test_a_patch_that_does_not_fit_takes_no_other_item_out_of_a_filter(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    running = Live(store.folder)
    running.items.patch([1, 2, 4], {"year": [2001.0, 2002.0, 2004.0]})
    now = time.time()
    log_of(store).patch([Patch("3", "year", "soon", now), Patch("5", "year", 2005.0, now)])
    for live in (running, Live(store.folder)):
        with caplog.at_level(logging.WARNING):
            found = ids(live.recommend("x", 500, where={"year": {"ge": 2000}}))
        assert {1, 2, 4, 5} <= set(found)
        assert 3 not in found
        assert live.items.get(3)["year"] == live.contents.catalogue.own.records(rows_of(live, 3))[0]["year"]  # type: ignore[attr-defined,index]
        assert live.health()["state"]["skipped"] == 1
        assert "does not take a change of item 3: items.year" in caplog.text
        live.close()


def rows_of(live: Live, *item_ids: Any) -> Any:
    return live.contents.catalogue.ids.rows(item_ids)


def test_a_deleted_item_whose_columns_do_not_fit_is_deleted_all_the_same(store: Store) -> None:
    running = Live(store.folder)
    victim = ids(running.recommend(7))[0]
    log, now = log_of(store), time.time()
    log.upsert({str(victim): {"item_id": victim, "title": "x", "genres": [], "year": "soon"}}, now)
    log.delete([str(victim)], now)
    for live in (running, Live(store.folder)):
        assert live.items.get(victim) is None
        assert victim not in ids(live.recommend(7, 500, seen="allow"))
        assert live.health()["state"]["skipped"] == 1
        live.close()


def test_an_item_that_cannot_be_encoded_stops_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumbling(own: Any, rows: Any, records: Any) -> Any:
        if any(record["title"].startswith("Movie 902 ") for record in records):
            raise RuntimeError("the model of a plugin is out of memory")
        return encoded(own, rows, records)

    encoded = overlay.encoded
    running, other = Live(store.folder), Live(store.folder)
    victim = ids(running.recommend(7))[0]
    monkeypatch.setattr(overlay, "encoded", stumbling)
    running.items.upsert(frame([901, 902, 903], [1991.0] * 3, ["Western"]))
    running.items.delete([victim])
    for live in (running, other, Live(store.folder)):
        assert set(ids(live.recommend("x", where={"genres": "Western"}))) == {901, 903}
        assert victim not in ids(live.recommend(7, 500, seen="allow"))
        state = live.health()["state"]
        assert (state["skipped"], state["error"]) == (1, None)
        live.close()
    assert "does not take a change of item 902: RuntimeError" in caplog.text


def test_events_that_cannot_be_counted_stop_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running = Live(store.folder)
    victim = ids(running.recommend(7))[0]

    def failing(*given: Any) -> None:
        raise ValueError("assignment destination is read-only")

    monkeypatch.setattr(Statistics, "observe", failing)
    running.observe(("visitor", 5), ("visitor", 6))
    running.items.delete([victim])
    for live in (running, Live(store.folder)):
        assert live.history("visitor") == [5, 6]
        assert victim not in ids(live.recommend(7, 500, seen="allow"))
        assert live.health()["state"]["skipped"] == 2
        live.close()
    assert "does not count 2 events" in caplog.text
