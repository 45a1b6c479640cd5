"""A store's own log says what other lists would have earned, and what it cannot say."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from funnel import Answer, Live
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.cli import app
from funnel.errors import ConfigError, FunnelError
from funnel.experiments.config import ExperimentConfig
from funnel.experiments.running import start
from funnel.impressions import ImpressionsConfig, answers_folder, read
from funnel.off_policy.harm import harm
from funnel.off_policy.judged import OtherBundle, OtherPolicy, certain, logged_candidates
from funnel.off_policy.replay import Replay, Reward, earned_by_answer, replay
from funnel.policies import Drawing
from funnel.rules import Rule
from funnel.serving.state import Event, open_state
from funnel.serving.state.retention import retain
from funnel.types import EventKinds
from tests.policies.conftest import exploring, store  # noqa: F401  (fixtures)
from tests.policies.worlds import requests
from tests.serving.test_reload import variant

USERS, EACH, K, DRAWS = 120, 12, 2, 60


def likes(user: int, item: int) -> float:
    """How often a user clicks an item that stands first; each position below is looked at half as often."""
    return ((user * 7 + item * 13) % 10) / 10


def worth(user: int, items: list[int]) -> float:
    """What a list earns on average."""
    return sum(likes(user, item) / 2**position for position, item in enumerate(items))


def live_through(store: Path) -> None:  # noqa: F811
    """Answers, and behind them all clicks, so that no answer goes by any."""
    live = Live(store, impressions=ImpressionsConfig(log=True, sample=1.0, candidates=200))
    rng, events = np.random.default_rng(0), []
    for user in range(1, USERS + 1):
        for _ in range(EACH):
            answer = live.recommend(user, k=K)
            for position, item in enumerate(answer.items):
                if rng.random() < likes(user, item.item_id) / 2**position:
                    events.append((user, item.item_id, None, None, None, answer.id))
    live.observe(*events)
    assert live.recording.flush(30)
    live.close()


def truth(folder: Path, drawing: Drawing) -> float:
    """What lists of a policy earn on average, of many that it draws itself."""
    contents = load_contents(Store(folder).path("current"))
    records = {one.user: one for one in read(answers_folder(folder)) if one.policy is not None}
    total = 0.0
    for user, record in records.items():
        given = logged_candidates(contents, [record] * DRAWS)
        for stage in contents.drawing(drawing, K):
            given = stage(requests(np.arange(DRAWS) * 7919 + user), given)
        lists = [contents.catalogue.ids.take(row[row >= 0]) for row in given.items]
        total += float(np.mean([worth(user, items) for items in lists]))
    return total / len(records)


def nearer(contents: Contents) -> Drawing:
    """A policy that draws less far from the best than the bundle's own."""
    assert contents.explore is not None
    return contents.explore.model_copy(update={"temperature": 0.6 * contents.explore.temperature})


def replayed(folder: Path, drawing: Drawing | None, **options: object) -> Replay:
    contents = load_contents(Store(folder).path("current"))
    judged = OtherPolicy({"rerank": contents.rerank, "rules": contents.rules}, drawing)
    state = open_state(folder / "live" / "state.sqlite")
    every = {"floor": 20, **options}
    return replay(Store(folder), judged, answers_folder(folder), state, **every)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lived(exploring: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A store with a log."""
    folder = tmp_path_factory.mktemp("lived") / "indexes"
    shutil.copytree(exploring, folder)
    live_through(folder)
    return folder


def test_another_policy_is_told_from_the_lists_that_were_drawn(lived: Path) -> None:
    judged = nearer(load_contents(Store(lived).path("current")))
    found = replayed(lived, judged, estimators=("snips", "snrips", "ips", "rips"))
    expected = truth(lived, judged)
    assert found.agree == 1.0
    assert found.left_out["not drawn"] > 0
    assert found.lists > 60 * EACH
    for one in found.estimates:
        assert one.value is not None, one.refused
        assert one.lo is not None
        assert one.hi is not None
        assert abs(one.value - expected) < one.hi - one.lo, one.estimator
    assert found.earned.lo is not None
    assert found.earned.lo < truth(lived, own_policy(lived)) < (found.earned.hi or 0)


def own_policy(folder: Path) -> Drawing:
    """The one that drew the lists."""
    drawing = load_contents(Store(folder).path("current")).explore
    assert drawing is not None
    return drawing


def test_what_was_hardly_ever_shown_is_refused(lived: Path) -> None:
    """The list that is not drawn."""
    (one,) = replayed(lived, None, estimators=("snips",), floor=500).estimates
    assert one.value is None
    assert one.refused is not None
    assert 1 < one.effective < 500


def test_the_logged_policy_itself_earns_what_was_earned(lived: Path) -> None:
    folder = lived
    contents = load_contents(Store(folder).path("current"))
    found = replayed(folder, contents.explore)
    for one in found.estimates:
        assert one.value == pytest.approx(found.earned.value, rel=1e-5)
        assert one.effective == pytest.approx(found.lists, rel=1e-3)


def test_what_counts_may_be_said(lived: Path) -> None:
    folder = lived
    clicks = replayed(folder, None, reward=Reward("interaction"))
    assert clicks.earned.value == replayed(folder, None).earned.value


def test_a_reward_of_a_kind_that_no_event_has_is_named(cut: Path, tmp_path: Path) -> None:
    answers = [one for one in read(answers_folder(cut)) if one.policy is not None]
    state = open_state(tmp_path / "state.sqlite")
    assert (
        sum(map(sum, earned_by_answer(answers, state, Reward("clik")).values())) == 0
    )  # nobody did anything
    state.observe([Event(str(answers[0].user), str(answers[0].shown_items[0]), int(time.time()), kind, None,
                         answers[0].id) for kind in ("click", "buy")])  # fmt: skip
    assert sum(earned_by_answer(answers, state, Reward("buy"))[answers[0].id]) == 1
    with pytest.raises(FunnelError, match=r"no event .* is of the kind 'clik'; there are: buy, click"):
        earned_by_answer(answers, state, Reward("clik"))


def test_another_bundle_answers_again(lived: Path) -> None:
    """The same bundle as another one: its policy is the one that drew the lists."""
    folder = lived
    other = OtherBundle(load_contents(Store(folder).path("current")))
    state = open_state(folder / "live" / "state.sqlite")
    found = replay(Store(folder), other, answers_folder(folder), state)
    for one in found.estimates:
        assert one.value == pytest.approx(found.earned.value, rel=1e-3)
        assert one.effective == pytest.approx(found.lists, rel=1e-2)


def test_another_bundle_may_know_fewer_kinds_of_events(lived: Path) -> None:
    """The log has codes of the bundle that answered, which are not the other one's."""
    contents = load_contents(Store(lived).path("current"))
    record = next(one for one in read(answers_folder(lived)) if one.policy is not None)
    of_each = [2] * len(record.request["history"])  # type: ignore[index]
    logged = replace(record, request={**record.request, "history_kinds": of_each})  # type: ignore[dict-item]
    three, one = EventKinds.alike(("like", "buy", "click")), EventKinds.alike(("click",))
    found = OtherBundle(replace(contents, kinds=one)).chances(replace(contents, kinds=three), [logged], K)
    assert of_each
    assert (found == OtherBundle(contents).chances(contents, [record], K)).all()


def test_what_came_of_answers_to_nobody_counts(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=200))
    for visitor in range(200):
        answer = live.recommend(None, k=K, history=[5, 6])
        live.observe((f"visitor-{visitor}", answer.items[0].item_id, None, None, None, answer.id))
    assert live.recording.flush(30)
    live.close()
    assert replayed(store, own_policy(store)).earned.value == 1.0


def test_lists_whose_events_have_left_the_state_are_left_out(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=200))

    def day() -> float:
        for user in range(1, 101):
            answer = live.recommend(user, k=K)
            live.observe((user, answer.items[0].item_id, None, None, None, answer.id))
        assert live.recording.flush(30)
        return time.time()

    between = int(day()) + 1
    time.sleep(1.1)  # data end with a second
    day()
    kept = Store(store)
    for number in "12":  # the data of the published bundle and of the one before it have the first day
        more = partial(lambda folder, text: (folder / "more.txt").write_text(text), text=number)
        kept.publish(variant(kept, more, data_read=between, data_end=between))
    retain(kept, live.state)
    live.close()
    found = replayed(store, own_policy(store))
    assert found.left_out["whose events have left the state"] > 50
    assert found.earned.value == 1.0


@pytest.mark.parametrize(("busy", "everyone"), [(1, False), (4, True)])
def test_lists_of_users_who_have_more_events_than_are_kept_are_left_out(
    store: Path,  # noqa: F811
    busy: int,
    everyone: bool,
) -> None:
    """Of one user in a hundred theirs alone, of more all of that time: who is busy goes by what came."""
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=200))
    why = "whose events have left the state"

    def day() -> list[Answer]:
        answers = live.recommend_many(range(1, 151), k=K)
        live.observe(*((one.user_id, one.items[0].item_id, None, None, None, one.id) for one in answers))
        return [answer for answer in answers if answer.policy is not None]

    drawn = day()
    live.observe(*((one.user_id, 1, None) for one in drawn[:busy] for _ in range(1_200)))
    time.sleep(1.1)
    later = day()
    assert live.recording.flush(30)
    live.close()
    found = replayed(store, own_policy(store))
    assert found.left_out[why] == (len(drawn) if everyone else 1)
    assert found.lists == len(drawn) + len(later) - found.left_out[why]
    assert found.earned.value == 1.0
    seen = harm(answers_folder(store), open_state(store / "live" / "state.sqlite"), allowed=0.1)
    assert sum(seen.users) == 150
    assert ("; 1 lists are left out" not in seen.sentence) == everyone
    assert why in seen.sentence


def test_the_command(lived: Path, tmp_path: Path) -> None:
    folder = lived
    config = tmp_path / "judged.toml"
    config.write_text(
        'name = "movies"\n[data]\nreader = "movielens"\npath = "."\n[rerank]\ntrade_off = 0.7\n'
        '[[rules]]\nkind = "at_most"\ncolumn = "genres"\nn = 3\nstrict = true\n'
    )
    arguments = ["replay", str(config), "--store", str(folder), "--floor", "20"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    known = json.loads(result.stdout)
    assert known["agree"] == 1.0
    assert [one["estimator"] for one in known["estimates"]] == ["snips", "snrips"]
    assert "as it was" in CliRunner().invoke(app, arguments).stdout
    config.write_text(config.read_text() + '[impressions]\nwindow = "1s"\n')  # clicks came behind all answers
    within = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert within["earned"]["value"] < known["earned"]["value"]


def test_a_log_without_chance_is_refused(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True))
    for user in range(1, 20):
        live.recommend(user, k=K, seed=-1)
    live.recommend(1, k=K, seed=7)  # no chance: whoever gave the seed chose the list
    assert live.recording.flush(30)
    live.close()
    with pytest.raises(FunnelError, match="19 not drawn, 1 drawn by a seed that its caller gave"):
        replayed(store, None)


def test_a_log_that_holds_too_few_candidates_is_refused(store: Path) -> None:  # noqa: F811
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=5))
    for user in range(1, 40):
        live.recommend(user, k=K)
    assert live.recording.flush(30)
    live.close()
    with pytest.raises(FunnelError, match="do not come out again"):
        replayed(store, None)


def judged_with(folder: Path, **settings: object) -> Replay:
    """Other settings of a store's own policy. settings: `rules` beside its own, or of `rerank`."""
    contents = load_contents(Store(folder).path("current"))
    rules = TypeAdapter(tuple[Rule, ...]).validate_python(settings.pop("rules", ()))
    rerank = contents.rerank.model_copy(update=settings)
    judged = OtherPolicy({"rerank": rerank, "rules": (*contents.rules, *rules)}, contents.explore)
    state = open_state(folder / "live" / "state.sqlite")
    return replay(Store(folder), judged, answers_folder(folder), state, floor=1)


@pytest.fixture(scope="module")
def cut(exploring: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A store whose log has as many candidates of each list as re-ranking goes by, and no more."""
    folder = tmp_path_factory.mktemp("cut") / "indexes"
    shutil.copytree(exploring, folder)
    pool = load_contents(Store(folder).path("current")).rerank.pool
    live = Live(folder, impressions=ImpressionsConfig(log=True, candidates=pool))
    for user in range(1, 60):
        live.recommend(user, k=K)
    assert live.recording.flush(30)
    live.close()
    return folder


def test_what_would_bring_in_candidates_that_are_not_logged_is_refused(cut: Path) -> None:
    contents = load_contents(Store(cut).path("current"))
    drawn = [one for one in read(answers_folder(cut)) if one.policy is not None]
    assert judged_with(cut).lists == len(drawn)
    with pytest.raises(FunnelError, match=f"{len(drawn)} with fewer than {contents.rerank.pool + 9} logged"):
        judged_with(cut, pool=contents.rerank.pool + 9)
    boost = {"kind": "boost", "where": {"genres": "Drama"}, "to": "front"}
    with pytest.raises(FunnelError, match="which the judged pool or boosts bring in"):
        judged_with(cut, rules=[boost])
    often = Counter(item for one in drawn for item in one.items)
    rare = min(often, key=lambda item: (often[item], str(item)))
    with pytest.raises(FunnelError, match=f"{len(drawn) - often[rare]} without logged .* rule 'pin'"):
        judged_with(cut, rules=[{"kind": "pin", "item": rare, "position": 1}])
    frequent = max(often, key=lambda item: (often[item], str(item)))
    found = judged_with(cut, rules=[{"kind": "pin", "item": frequent, "position": 1}])
    assert found.lists == often[frequent]
    assert sum(found.left_out.values()) >= len(drawn) - often[frequent]
    for kind in ({"kind": "at_least", "n": 2}, {"kind": "reserve", "positions": [1, 2]}):
        with pytest.raises(FunnelError, match=f"without logged candidates for the rule '{kind['kind']}'"):
            judged_with(cut, rules=[{**kind, "where": {"item_id": rare}}])


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (
            {"kind": "cap", "column": "item_id", "shows": 1, "per": "1d"},
            "cap item_id.* the log does not hold",
        ),
        ({"kind": "pin", "item": 987_654, "position": 1}, "does not have the item 987654"),
        ({"kind": "at_most", "column": "nosuch", "n": 1}, "no column 'nosuch'"),
        ({"kind": "at_least", "where": {"genres": {"ge": 3}}, "n": 1}, "rule 'at_least'.* number column"),
    ],
)
def test_rules_that_no_log_can_judge_are_named_before_it_is_read(
    cut: Path, monkeypatch: pytest.MonkeyPatch, rule: dict[str, object], error: str
) -> None:
    monkeypatch.setattr("funnel.off_policy.replay.read", lambda folder: pytest.fail("the log was read"))
    with pytest.raises(ConfigError, match=error):
        judged_with(cut, rules=[rule])


def test_an_arm_with_settings_of_its_own_is_named(store: Path) -> None:  # noqa: F811
    arms = {"control": {"share": 0.5}, "varied": {"share": 0.5, "rerank": {"trade_off": 0.2}}}
    start(Store(store), "variety", ExperimentConfig.model_validate({"arms": arms}))
    live = Live(store, impressions=ImpressionsConfig(log=True, candidates=200))
    for user in range(1, 60):
        live.recommend(user, k=K)
    assert live.recording.flush(30)
    live.close()
    with pytest.raises(FunnelError, match="of the arm 'varied' of the experiment 'variety'") as refused:
        replayed(store, None)
    assert "'control'" not in str(refused.value)


def test_a_list_that_is_certain() -> None:
    shown = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, -1]], dtype=np.int32)
    lists = np.array([[1, 2, 3], [1, 3, 2], [1, 2, -1], [1, 2, -1]], dtype=np.int32)
    assert certain(shown, lists).tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
