"""Arms that nobody sees: they answer afterwards, as they would have, and never before a request."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start, stop
from funnel.gates.diff import diff
from funnel.impressions import Impression, ImpressionsConfig, Recorder, read, shadow_folder
from funnel.pages.experiment import write_page
from funnel.serving import shadow
from funnel.serving.evidence import judged
from funnel.serving.shadow import shadows_of
from tests.impressions.records import impression
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild

USERS = range(1, 25)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shadow is dropped since the machine is busy, but where a test says so."""
    monkeypatch.setattr(shadow, "PATIENCE", 60.0)


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def shadowed(store: Store, treated: dict[str, Any], **more: Any) -> None:
    arms = {"control": {"share": 1.0}, "dark": {"share": 0.0, **treated}}
    config = {"arms": arms, "shadow": 1.0, **more}
    start(store, "dark", ExperimentConfig.model_validate(config))


def made(live: Live) -> list[Impression]:
    assert live.shadow.flush(60)
    return list(read(shadow_folder(live.folder)))


def answered(live: Live) -> list[Any]:
    """An answer a user, each once its shadow is made."""
    answers = []
    for user in USERS:
        answers.append(live.recommend(user))
        assert live.shadow.flush(60)
    return answers


def test_a_shadow_is_what_the_arm_would_have_answered_beside_what_was_shown(store: Store) -> None:
    other = without_ranker(store)
    shadowed(store, {"bundle": other})
    live, alone = Live(store), Live(store, other)
    by_id = {answer.id: answer for answer in answered(live)}
    found = made(live)
    assert {one.id for one in found} == set(by_id)
    for one in found:
        answer = by_id[one.id]
        assert list(one.shown_items) == [item.item_id for item in alone.recommend(int(one.user)).items]
        assert one.request is not None
        assert one.request["items"] == [item.item_id for item in answer.items]
        assert (answer.version, one.version, answer.arms) == (live.version, other, {"dark": "control"})


def test_it_is_compared_as_two_bundles_are(store: Store, tmp_path: Path) -> None:
    other = without_ranker(store)
    shadowed(store, {"bundle": other})
    live = Live(store)
    answered(live)
    found, whole = shadows_of(live.folder, "dark")["dark"], diff(store, live.version, other).answers
    assert found.requests == len(USERS)
    assert (found.k, type(found)) == (whole.k, type(whole))
    assert 0 < found.overlap < 1
    assert shadows_of(live.folder, "else") == {}
    text = write_page(judged(live.folder, "dark"), tmp_path / "page.html").read_text()
    assert f"{100 * found.overlap:.1f}%" in text.partition("Arms that nobody sees")[2]


def test_the_same_arm_as_a_shadow_differs_in_nothing(store: Store) -> None:
    shadowed(store, {"rerank": {"pool": 50}})  # as the bundle has it
    live = Live(store)
    answered(live)
    found = shadows_of(live.folder, "dark")["dark"]
    assert (found.overlap, found.same_first, found.same_list, found.score) == (1.0, 1.0, 1.0, 0.0)


def test_who_is_forgotten_is_in_no_shadow_either(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shadowed(store, {"rerank": {"pool": 50}})
    live = Live(store)
    answered(live)
    live.users.forget(7)
    assert {one.user for one in made(live)} == {str(user) for user in USERS} - {"7"}
    monkeypatch.setattr(shadow, "QUIET", 0.3)
    live.recommend(8)  # whose shadow waits
    live.users.forget(8)
    assert {one.user for one in made(live)} == {str(user) for user in USERS} - {"7", "8"}


def test_shadows_are_kept_as_long_as_answers(store: Store) -> None:
    shadowed(store, {"rerank": {"pool": 50}})
    old, now = Recorder(shadow_folder(store.folder)), time.time()
    for number, hours in enumerate((40 * 24, 30, 15)):  # a day without a gap, and what is far older
        old.put(lambda number=number, hours=hours: impression(number, time=now - hours * 3600))
    old.close()
    live = Live(store, impressions=ImpressionsConfig(log=True, keep="30d"))
    answer = live.recommend(3)
    assert live.shadow.flush(60)
    live.close()  # old hours go behind what is written
    kept = [one.id for one in read(shadow_folder(store.folder))]
    assert sorted(kept) == sorted([impression(1).id, impression(2).id, answer.id])


def test_shadows_of_many_users_are_made_at_the_time_that_was_given(store: Store) -> None:
    shadowed(store, {"rerank": {"pool": 50}})
    live = Live(store)
    then = live.contents.statistics.end - 200 * 86_400
    usual = live.recommend_many(USERS)
    live.shadow.flush(60)
    shutil.rmtree(shadow_folder(live.folder), ignore_errors=True)
    live.close()
    live, answers = Live(store), []
    for user in USERS:
        answers += live.recommend_many([user], time=then)
        assert live.shadow.flush(60)
    assert [answer.items for answer in answers] != [answer.items for answer in usual]
    found = shadows_of(live.folder, "dark")["dark"]
    assert (found.requests, found.same_list, found.score) == (len(USERS), 1.0, 0.0)


def test_under_load_shadows_are_dropped_and_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "PATIENCE", 0.2)
    shadowed(store, {"bundle": without_ranker(store)})
    live, ended = Live(store), threading.Event()
    monkeypatch.setattr(shadow, "QUIET", 10.0)  # there is always a request within it
    while not ended.is_set() and live.shadow.dropped < 20:
        live.recommend(1)
    assert live.shadow.flush(60)
    figures = live.health()["experiments"]["shadow"]
    assert (figures["done"], figures["waiting"]) == (0, 0)
    assert figures["dropped"] >= 20
    assert made(live) == []


def test_a_request_that_comes_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shadowed(store, {"bundle": without_ranker(store)})
    live = Live(store)
    monkeypatch.setattr(shadow, "QUIET", 0.3)
    live.recommend(1)
    for _ in range(4):
        time.sleep(0.05)
        live.shadow.came()
        live.shadow.left()
        assert live.shadow.done == 0
    assert len(made(live)) == 1


def test_a_request_on_its_way_is_waited_for_and_one_that_failed_is_not_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadowed(store, {"bundle": without_ranker(store)})
    live = Live(store)
    monkeypatch.setattr(shadow, "GONE", 0.5)
    live.recommend(1)
    live.shadow.came()  # and is never answered
    time.sleep(0.2)
    assert live.shadow.done == 0
    assert len(made(live)) == 1


def test_only_a_sample_has_a_shadow(store: Store) -> None:
    shadowed(store, {"bundle": without_ranker(store)}, shadow=1e-9)
    live = Live(store)
    answered(live)
    assert made(live) == []


def test_what_can_be_read_once_has_none_and_a_list_may_change_afterwards(store: Store) -> None:
    shadowed(store, {"bundle": without_ranker(store)})
    live = Live(store)
    history = [1, 2, 3]
    live.recommend(1, history=history)
    history.clear()
    live.recommend(1, history=iter([4, 5]))
    (one,) = made(live)
    alone = Live(store, one.version)
    assert list(one.shown_items) == [item.item_id for item in alone.recommend(1, history=[1, 2, 3]).items]


def test_a_stopped_experiment_has_no_shadows(store: Store) -> None:
    shadowed(store, {"bundle": without_ranker(store)})
    live = Live(store)
    live.recommend(1)
    stop(store, "dark")
    live.refresh()
    live.recommend(2)
    assert {one.user for one in made(live)} <= {"1"}


def test_live_goes_away_with_its_shadow(store: Store) -> None:
    """Nothing keeps it but who uses it."""
    import gc
    import weakref

    live = Live(store)
    gone = weakref.ref(live)
    gc.disable()
    try:
        del live
        assert gone() is None
    finally:
        gc.enable()
