"""What was deleted, and who was forgotten, comes back on no bundle that the store has, however old it is."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start
from funnel.serving.state import retention
from tests.serving.test_items import ids
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def of_data_read(store: Store, name: str, at: float) -> str:
    return variant(store, lambda folder: (folder / "mark").write_text(name), name, data_read=at)


def test_a_rollback_and_an_arm_know_who_was_forgotten_and_what_was_deleted(store: Store) -> None:
    now = time.time()
    one, two, three = (
        of_data_read(store, name, now + later)
        for name, later in (("one", -3_000), ("two", 1_000), ("three", 2_000))
    )
    first = store.published()
    store.publish(one)
    shutil.rmtree(store.folder / str(first))  # of an earlier funnel: its data_read is not known
    live = Live(store.folder)
    victim = ids(live.recommend(7))[0]
    live.items.delete([victim])
    live.users.forget(7)
    live.close()
    for version in (two, three):
        store.publish(version)
        Live(store.folder).close()
    arms = {"control": {"share": 0.5}, "older": {"share": 0.5, "bundle": one}}
    start(store, "order", ExperimentConfig.model_validate({"arms": arms}))
    live, seen = Live(store.folder), set()
    for user in range(1, 40):
        answer = live.recommend(user, 500, seen="allow")
        arm = answer.arms["order"]
        seen.add(arm)
        assert (victim in ids(answer)) == (arm == "control")  # whose data know better
    assert seen == {"control", "older"}
    live.close()
    store.rollback(one)
    live = Live(store.folder)
    assert live.version == one
    assert victim not in ids(live.recommend(9, 500, seen="allow"))
    assert live.history(7) == []
    live.close()


def test_what_every_bundle_of_the_store_knows_is_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    one, two, three = (
        of_data_read(store, name, now + later)
        for name, later in (("one", -3_000), ("two", 1_000), ("three", 2_000))
    )
    first = store.published()
    store.publish(one)
    shutil.rmtree(store.folder / str(first))
    live = Live(store.folder)
    live.items.delete([5])
    live.users.forget(7)
    live.close()
    store.publish(two)
    store.publish(three)

    def left() -> tuple[int, int]:
        with closing(Live(store.folder)) as live:
            state = live.health()["state"]
            return state["items"], state["forgotten"]

    assert left() == (1, 1)
    shutil.rmtree(store.folder / one)
    assert left() == (0, 1)  # `funnel ingest` still has to meet it
    monkeypatch.setattr(retention, "FORGOTTEN_FOR", 0)
    assert left() == (0, 0)


def test_a_bundle_that_cannot_be_read_keeps_what_it_may_need(store: Store) -> None:
    now = time.time()
    one = of_data_read(store, "one", now + 1_000)
    first = store.published()
    live = Live(store.folder)
    live.items.delete([5])
    live.close()
    store.publish(one)
    (store.folder / str(first) / "manifest.json").write_text("{")
    live = Live(store.folder)
    assert live.health()["state"]["items"] == 1
    live.close()
