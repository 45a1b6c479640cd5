"""What `Live` logs of its answers: what was shown, and what it was chosen from, as it stood then."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel import Live, Ragged, Requests, configure
from funnel.artifacts import Store
from funnel.errors import BundleError, ConfigError
from funnel.impressions import Impression, ImpressionsConfig, answers_folder, read
from funnel.impressions.compact import compact
from funnel.serving.request import Request, encode_request
from tests.serving.test_reload import soon
from tests.tiny import TinyBuild


@pytest.fixture
def indexes(built: TinyBuild, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.indexes, tmp_path / "indexes"))


@pytest.fixture
def live(indexes: Path) -> Iterator[Live]:
    live = Live(indexes, impressions=ImpressionsConfig(log=True, sample=1))
    yield live
    live.close()


def publish_with(indexes: Path, impressions: dict[str, Any]) -> None:
    """The bundle with other settings of the log, as a build would have written it."""
    store = Store(indexes)
    about = store.verify("current")
    with store.writing("movies") as draft:
        shutil.copytree(store.path("current"), draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        settings = json.loads((draft.folder / "serve.json").read_text())
        (draft.folder / "serve.json").write_text(json.dumps(settings | {"impressions": impressions}))
        draft.describe(towers_fingerprint=about.towers_fingerprint, config=about.config)
    store.publish(draft.version)


def logged(live: Live) -> dict[str, Impression]:
    assert live.recording.flush(30)
    return {one.id: one for one in read(answers_folder(live.folder))}


def test_an_embedded_live_logs_nothing_unless_it_is_told_to(indexes: Path) -> None:
    live = Live(indexes)
    live.recommend(1)
    live.close()
    assert not answers_folder(indexes).exists()
    assert live.health()["impressions"]["log"] is False
    assert live.health()["impressions"]["recorded"] == 0


@pytest.mark.parametrize("log", [True, False])
def test_the_config_of_the_bundle_says_whether_answers_are_logged(indexes: Path, log: bool) -> None:
    publish_with(indexes, {"log": log, "candidates": 7})
    live = Live(indexes)
    answer = live.recommend(1, 3)
    live.close()
    records = {one.id: one for one in read(answers_folder(indexes))}
    assert set(records) == ({answer.id} if log else set())
    assert all(len(one.items) == 7 for one in records.values())


def test_settings_that_cannot_be_read_log_nothing_and_health_says_so(indexes: Path) -> None:
    publish_with(indexes, {"log": True, "of_later": 1})
    live = Live(indexes)
    live.recommend(1)
    live.close()
    assert not answers_folder(indexes).exists()
    assert "cannot be read" in live.health()["impressions"]["error"]


def test_a_config_that_cannot_be_meant_is_refused() -> None:
    assert configure("shop", impressions={"log": True, "window": "6h"}).impressions.window_seconds == 21_600
    for wrong in ({"window": "6"}, {"keep": "0d"}, {"keep": "-1d"}, {"sample": 1.5}, {"candidates": 0}):
        with pytest.raises(ConfigError, match="impressions"):
            configure("shop", impressions=wrong)


def test_an_answer_is_logged_with_what_it_was_chosen_from(live: Live) -> None:
    answer = live.recommend(1, 5)
    one = logged(live)[answer.id]
    assert (one.user, one.version, one.state, one.k, one.call) == (
        1,
        live.version,
        answer.state,
        5,
        "recommend",
    )
    assert one.shown_items == tuple(item.item_id for item in answer.items)
    assert len(one.items) == 50
    steps = live.served().funnel(5).trace(encode_request(live.contents, Request(1))[0])
    front = next(step.candidates for step in steps if step.name == "rank")
    assert one.items[:50] == tuple(live.contents.catalogue.ids.take(front.items[0, :50]))
    assert np.array_equal(one.scores[:50], front.scores[0, :50])
    assert one.propensities is None
    assert set(one.ms) == set(answer.milliseconds)
    assert one.reasons == answer.reasons


def test_what_is_shown_from_further_down_stands_behind_with_its_score(indexes: Path) -> None:
    live = Live(indexes, impressions=ImpressionsConfig(log=True, candidates=2))
    answer = live.recommend(3, 8)
    one = logged(live)[answer.id]
    assert one.shown_items == tuple(item.item_id for item in answer.items)
    assert len(one.items) >= 8
    assert np.isfinite(one.scores).all()
    assert (np.diff(one.scores[:2]) <= 0).all()
    live.close()


def test_many_and_one_by_one_log_the_same(live: Live) -> None:
    users = [1, 2, "nobody", None, 5]
    many = live.recommend_many(users, 4)
    single = [live.recommend(user, 4) for user in users]
    records = logged(live)
    for left, right in zip(many, single, strict=True):
        a, b = records[left.id], records[right.id]
        assert (a.user, a.items, a.shown, a.reasons) == (b.user, b.items, b.shown, b.reasons)
        assert np.array_equal(a.scores, b.scores)
    assert [records[answer.id].user for answer in many] == users


def test_rank_and_similar_are_logged_as_such(live: Live) -> None:
    ranked, similar = live.rank(1, [7, 5, 9]), live.similar(7, 3, user_id=1)
    records = logged(live)
    assert records[ranked.id].call == "rank"
    assert records[ranked.id].shown_items == tuple(item.item_id for item in ranked.items)
    assert set(records[ranked.id].items) == {5, 7, 9}
    assert records[similar.id].call == "similar"
    assert records[similar.id].shown_items == tuple(item.item_id for item in similar.items)


def test_an_empty_answer_is_logged_too(live: Live) -> None:
    answer = live.recommend(1, where={"genres": "Western"})
    one = logged(live)[answer.id]
    assert (one.items, one.shown) == ((), ())
    assert one.reasons == ("all_filtered",)
    assert one.where == {"genres": "Western"}


def test_a_filter_that_the_caller_changes_afterwards_is_logged_as_it_was(live: Live) -> None:
    where: dict[str, Any] = {"genres": ["Comedy"]}
    answer = live.recommend(1, where=where)
    where["genres"].append("Drama")
    assert logged(live)[answer.id].where == {"genres": ["Comedy"]}


@pytest.mark.parametrize("user", [7.0, np.int64(7), "u7", None, 2**70, Decimal(7), 7.5])
def test_whoever_asks_the_request_is_served_and_logged(live: Live, user: Any) -> None:
    answer = live.recommend(user)
    one = logged(live)[answer.id]
    assert one.user is None or isinstance(one.user, int | str)
    assert json.dumps(one.user).encode()
    assert one.shown_items == tuple(item.item_id for item in answer.items)


def test_a_sampled_answer_is_made_again_from_what_was_logged(live: Live) -> None:
    live.observe((1, 7), (1, 9))
    answer = live.recommend(1, 6, exclude=[3, 4], where={"genres": "Comedy"})
    one = logged(live)[answer.id]
    request, ids = one.request, live.contents.catalogue.ids
    assert request is not None

    def rows(name: str) -> Ragged:
        return Ragged.from_lists([ids.rows(request[name])])

    base: Requests = encode_request(live.contents, Request(one.user, where=one.where))[0]
    again = replace(
        base,
        times=np.array([request["time"]]),
        history=rows("history"),
        history_times=Ragged.from_lists([request["history_times"]], np.int64),
        exclude=rows("exclude"),
    )
    final = live.served().funnel(one.k)(again)
    assert tuple(ids.take(final.items[0])) == one.shown_items
    assert np.array_equal(final.scores[0], [np.float32(item.score) for item in answer.items])


def test_a_share_is_logged_with_its_whole_request(indexes: Path) -> None:
    live = Live(indexes, impressions=ImpressionsConfig(log=True, sample=0.5))
    answers = [live.recommend(1, 1) for _ in range(60)]
    records = logged(live)
    assert len(records) == 60
    whole = [records[answer.id].request is not None for answer in answers]
    assert whole == [int(answer.id[:8], 16) < 2**31 for answer in answers]
    assert 0 < sum(whole) < 60
    live.close()


def test_health_has_the_figures(live: Live) -> None:
    live.recommend(1)
    answer = live.recommend(2)
    live.observe((2, answer.items[0].item_id, None, None, None, answer.id), (2, 5))
    assert live.recording.flush(30)
    figures = live.health()["impressions"]
    assert (figures["log"], figures["recorded"], figures["dropped"], figures["feedback"]) == (True, 2, 0, 1)
    files = list(answers_folder(live.folder).iterdir())
    assert figures["bytes"] == sum(file.stat().st_size for file in files)
    assert json.dumps(live.health())


def test_where_the_log_cannot_be_written_requests_are_served(indexes: Path) -> None:
    (indexes / "live").mkdir(exist_ok=True)
    answers_folder(indexes).write_text("in the way")
    live = Live(indexes, impressions=ImpressionsConfig(log=True, buffer=5))
    for _ in range(20):
        assert live.recommend(1, 2).items
    live.recording.flush(0.5)
    figures = live.health()["impressions"]
    assert "cannot be written" in figures["error"]
    assert figures["recorded"] == 0
    assert figures["waiting"] + figures["dropped"] == 20
    answers_folder(indexes).unlink()
    assert live.recording.flush(30)
    live.close()
    assert len(list(read(answers_folder(indexes)))) == figures["waiting"]


def test_a_fork_logs_its_own_answers(live: Live) -> None:
    before = live.recommend(1, 2)
    child = os.fork()
    if child == 0:
        try:
            live.recommend(2, 2)
            live.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    after = live.recommend(3, 2)
    records = logged(live)
    assert {before.id, after.id} <= set(records)
    assert sorted(one.user for one in records.values()) == [1, 2, 3]


def test_requests_that_nobody_made_are_not_logged(live: Live) -> None:
    with live.recording.paused():
        live.recommend(1)
    answer = live.recommend(1)
    assert set(logged(live)) == {answer.id}


def test_a_person_who_is_forgotten_is_in_no_answer_of_the_log(live: Live) -> None:
    theirs, others = [live.recommend(7, 2), live.rank("7", [1, 2])], live.recommend(77, 2)
    assert live.recording.flush(30)
    known = live.users.known(7)["answers"]
    assert [(one["answer"], one["items"]) for one in known] == [
        (answer.id, [item.item_id for item in answer.items]) for answer in theirs
    ]
    compact(answers_folder(live.folder))  # none of the files is closed
    last = live.recommend(7, 1)  # waits to be written
    assert live.users.forget(7).answers == 3
    assert set(logged(live)) == {others.id}
    assert live.users.known(7)["answers"] == []
    assert live.users.forget(7).answers == 0
    assert last.id


@pytest.mark.parametrize("runs", [True, False])
def test_who_is_forgotten_on_another_machine_goes_from_the_log_of_this_one(
    indexes: Path, tmp_path: Path, runs: bool
) -> None:
    """Each machine has a store, and a log, of its own; also where it did not run just then."""
    state, other = tmp_path / "state.sqlite", Path(shutil.copytree(indexes, tmp_path / "other"))
    here, there = (Live(store, state=state, impressions=True) for store in (indexes, other))
    compacted, others = here.recommend(7, 2), here.recommend(77, 2)
    assert logged(here)
    here.close()
    compact(answers_folder(indexes))
    assert here.recommend(7, 1).id in logged(here)
    if not runs:
        here.close()
    there.users.forget("7")
    here = here if runs else Live(indexes, state=state, impressions=True)
    again = here.recommend("x", 1)  # meets it
    assert soon(lambda: set(logged(here)) == {others.id, again.id})
    later = here.recommend(7, 1)
    here.close()
    here = Live(indexes, state=state, impressions=True)
    assert here.refresh() is False
    assert set(logged(here)) == {others.id, again.id, later.id}  # a stranger, who came again
    assert compacted.id


def test_where_the_log_cannot_be_erased_the_person_is_told_so(live: Live) -> None:
    live.recommend(7)
    live.close()
    compact(answers_folder(live.folder))
    (path,) = answers_folder(live.folder).glob("*.parquet")
    path.write_bytes(b"damaged")
    with pytest.raises(BundleError, match=path.name):
        live.users.forget(7)
    path.unlink()
    assert live.users.forget(7).answers == 0
