"""Lists of both arms, served, logged, fed back, compacted and judged."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import ConfigError
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.interleaving import INTERLEAVED, drafted
from funnel.experiments.running import running, start
from funnel.impressions import answers_folder, read
from funnel.impressions.compact import compact
from funnel.serving import response
from funnel.serving.evidence import judged
from tests.serving.test_reload import without_ranker
from tests.tiny import TinyBuild

USERS, DAY, METRIC = range(1, 121), 86_400, "interaction per user"


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def begun(store: Store, other: dict[str, Any], **more: Any) -> None:
    arms = {"control": {"share": 0.5}, "other": {"share": 0.5, **other}}
    about = {"arms": arms, "kind": "interleaving", "days": 1, "metric": METRIC, **more}
    start(store, "both", ExperimentConfig.model_validate(about))


def apart(store: Store, to: Path) -> Store:
    """The same bundles where no experiment runs."""
    return Store(shutil.copytree(store.folder, to / "apart"))


def items(answer: Any) -> list[Any]:
    return [one.item_id for one in answer.items]


@pytest.mark.parametrize("of_sections", [True, False])
def test_a_list_is_the_draft_of_both_arms_lists_by_the_answers_id(
    store: Store, tmp_path: Path, of_sections: bool
) -> None:
    other = None if of_sections else without_ranker(store)
    plain = apart(store, tmp_path)
    alone = [Live(plain), Live(plain, other or "current")]
    begun(store, {"rerank": {"trade_off": 0.3}} if other is None else {"bundle": other})
    live, mixed = Live(store, impressions=True), 0
    for user in list(USERS)[:15]:
        answer = live.recommend(user, k=7)
        assert answer.arms == {"both": INTERLEAVED}
        if other is not None:
            lists = [items(one.recommend(user, k=7)) for one in alone]
            made = drafted(lists[0], lists[1], 7, int(answer.id, 16))
            assert (items(answer), list(answer.teams)) == (made.items, made.teams)
            assert [one.propensity for one in answer.items] == made.chances
        assert len(answer.teams) == len(set(items(answer))) == 7
        mixed += {0, 1} <= set(answer.teams)
    assert mixed
    assert live.health()["experiments"]["interleaving"] == {"done": 15, "alone": 0}
    assert live.rank(1, items(live.recommend(1))).teams == ()
    live.close()


def test_together_are_as_one_by_one_but_for_chance(store: Store) -> None:
    begun(store, {"rerank": {"trade_off": 0.3}})
    live = Live(store)
    for one, other in zip(live.recommend_many(USERS[:8]), map(live.recommend, USERS[:8]), strict=True):
        assert one.arms == other.arms == {"both": INTERLEAVED}
        assert len(set(items(one)) ^ set(items(other))) <= 2  # but for a last round that is cut short
    live.close()


def lived(store: Store, liked: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user gets a list; clicks on the items of one team more often, or on all alike. Ids of answers, by
    which teams are drawn, are not left to the system's chance: of two alike one in twenty would be found."""
    live, rng = Live(store, impressions=True), np.random.default_rng(5)
    monkeypatch.setattr(response, "os", SimpleNamespace(urandom=np.random.default_rng(6).bytes))
    for answer in live.recommend_many(USERS, k=8):
        for item, team in zip(answer.items, answer.teams, strict=True):
            if rng.random() < (0.6 if team == liked else 0.25):
                live.observe((answer.user_id, item.item_id, None, None, None, answer.id))
    assert live.recording.flush(30)
    live.close()


def test_a_known_better_arm_wins_and_of_two_alike_neither(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = without_ranker(store)
    begun(store, {"bundle": other})
    shutil.copytree(store.folder, tmp_path / "alike")
    lived(store, 1, monkeypatch)
    at = running(store.folder).experiments["both"].at
    found = judged(store.folder, "both", now=at + 1.01 * DAY)
    assert (found.decision, found.arm, found.days) == ("ship", "other", 1)
    assert found.users == {INTERLEAVED: len(USERS)}
    assert found.comparisons[0].treated > 0.55 > 0.45 > found.comparisons[0].control
    logged = {one.id: one for one in read(answers_folder(store.folder))}
    assert all(len(one.teams) == len(one.shown) == len(one.chances) for one in logged.values())
    assert {chance for one in logged.values() for chance in one.chances} == {0.5, 1.0}
    compact(answers_folder(store.folder))
    assert {one.id: one.teams for one in read(answers_folder(store.folder))} == {
        one.id: one.teams for one in logged.values()
    }
    again = judged(store.folder, "both", now=at + 1.01 * DAY)
    assert again == found
    alike = Store(tmp_path / "alike")
    lived(alike, None, monkeypatch)
    found = judged(alike.folder, "both", now=at + 1.01 * DAY)
    assert (found.decision, found.comparisons[0].state) == ("stop", "open")


def test_who_cannot_get_both_gets_the_controls_list_and_is_in_no_arm(store: Store, tmp_path: Path) -> None:
    other = without_ranker(store)
    alone = Live(apart(store, tmp_path))
    begun(store, {"bundle": other}, exclude=[9])
    live = Live(store)
    once = live.recommend(3, history=iter([1, 2]), k=5)  # can be read once only
    assert (once.arms, once.teams) == ({}, ())
    assert items(once) == items(alone.recommend(3, history=[1, 2], k=5))
    hurried = live.recommend(3, history=[1, 2], k=5, deadline=60_000)
    assert (hurried.arms, items(hurried)) == ({}, items(once))
    assert live.recommend(9).arms == {}
    assert live.recommend(None).arms == {}
    assert live.recommend(3, history=[1, 2], k=5).arms == {"both": INTERLEAVED}
    live.close()


def test_two_that_interleave_are_refused_and_a_split_beside_it_decides_on_both_lists(store: Store) -> None:
    begun(store, {"rerank": {"trade_off": 0.3}})
    arms = {"a": {"share": 0.5}, "b": {"share": 0.5, "bundle": without_ranker(store)}}
    about = {"arms": arms, "kind": "interleaving", "layer": "order"}
    more = ExperimentConfig.model_validate(about)
    with pytest.raises(ConfigError, match="both interleave lists"):
        start(store, "more", more)
    start(store, "split", ExperimentConfig.model_validate({"arms": arms, "layer": "order"}))
    live = Live(store)
    seen = {(one.arms["split"], one.version) for one in live.recommend_many(USERS[:40])}
    assert len({arm for arm, _ in seen}) == len({version for _, version in seen}) == 2
    assert all(one.arms["both"] == INTERLEAVED for one in live.recommend_many(USERS[:10]))
    live.close()
