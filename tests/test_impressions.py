"""Lists that were shown, from the log to the answer: what a ranker and its heads learn from them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funnel
from funnel.artifacts import Store
from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.engine import Funnel
from funnel.errors import BundleError, ConfigError
from funnel.evaluation import Report
from funnel.gates import GatesConfig
from funnel.gates.judged import Judged
from funnel.gates.probabilities import calibration
from funnel.pipeline import prepare
from funnel.pipeline.build import configured
from funnel.pipeline.checks import check_config
from funnel.pipeline.heads import shown_heads
from funnel.pipeline.logged import learn_from
from funnel.pipeline.rank import _folds, train_ranker
from funnel.recipes import Recipe, done_by
from funnel.scale.shipping import Delivered, Shipment
from funnel.types import Candidates, Requests
from tests import shown_shop
from tests.shown_shop import LIKED, LOOKED, OTHER, plain_shop
from tests.tiny import TinyBuild
from tests.undrawn import build


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    """The shop with clicks and purchases, ordered by expected value."""
    return plain_shop(tmp_path_factory)


@pytest.fixture(scope="module")
def live(made: TinyBuild) -> funnel.Live:
    return funnel.Live(made.indexes)


def folder_of(made: TinyBuild) -> Path:
    return Store(made.indexes).path(made.built.version)


def test_positions_are_looked_at_as_they_are(made: TinyBuild) -> None:
    propensities = load_contents(folder_of(made)).propensities
    assert propensities is not None
    np.testing.assert_allclose(propensities.values, LOOKED, atol=0.08)


def test_the_probability_is_that_of_a_click_on_what_is_looked_at(made: TinyBuild, live: funnel.Live) -> None:
    """As the shop draws it, wherever the item stood in the lists that were shown."""
    tastes = made.prepared.dataset.users.set_index("user_id")["taste"]
    liked, other, bought = [], [], []
    for user in tastes.index[:40]:
        for item in live.recommend(user, k=60).items:
            own = item.attributes["colour"] == tastes[user]
            (liked if own else other).append(item.probabilities["click"])
            if own:
                bought.append((item.attributes["colour"], item.probabilities["purchase"]))
    assert np.mean(liked) == pytest.approx(LIKED, abs=0.06)
    assert np.mean(other) == pytest.approx(OTHER, abs=0.03)
    for colour, share in shown_shop.BOUGHT.items():
        given = np.mean([chance for of, chance in bought if of == colour])
        assert given == pytest.approx(LIKED * share, abs=0.07)


def test_the_list_is_in_the_order_of_the_value_of_both(live: funnel.Live) -> None:
    items = live.recommend("u3", k=20).items
    worth = [
        item.probabilities["click"] * item.attributes["bid"]
        + 0.3 * item.probabilities["purchase"] * item.attributes["margin"]
        for item in items
    ]
    assert worth == sorted(worth, reverse=True)
    assert [item.value["expected"] for item in items] == pytest.approx(worth)


def test_a_given_list_has_the_same_probabilities(live: funnel.Live) -> None:
    ten = live.recommend("u5", k=10).items
    back = {
        item.item_id: item.probabilities for item in live.rank("u5", [item.item_id for item in ten]).items
    }
    assert back == {item.item_id: item.probabilities for item in ten}


def test_many_users_get_the_same_as_one_by_one(live: funnel.Live) -> None:
    users = ["u1", "u2", "nobody"]
    for user, answer in zip(users, live.recommend_many(users), strict=True):
        alone = live.recommend(user)
        assert [one.probabilities for one in answer.items] == [one.probabilities for one in alone.items]


def test_the_report_measures_each_head_on_its_own_lists(made: TinyBuild) -> None:
    measured = {one.head: one for one in Report.load(folder_of(made) / "report.json").probabilities}
    assert list(measured) == ["event", "click", "purchase"]
    lists = made.prepared.test_lists
    assert lists is not None
    shown = lists.examples.requests.shown
    assert shown is not None
    assert measured["click"].rows == len(shown.items.values)
    assert measured["click"].positives == shown.columns["outcome.click"].sum()
    assert measured["purchase"].positives == shown.columns["outcome.purchase"].sum()
    for name in ("click", "purchase"):
        assert measured[name].normalised_entropy.hi < 1
        assert measured[name].ratio.lo < 1.05
        assert measured[name].ratio.hi > 0.95
        assert any(part.name.startswith("users.taste = ") for part in measured[name].slices)
        assert any(part.name.startswith("items.colour = ") for part in measured[name].slices)
    page = (folder_of(made) / "report.html").read_text()
    assert "How right probabilities are: p_purchase" in page


def test_a_probability_says_what_happens_at_each_position(made: TinyBuild) -> None:
    """Not only in all: told times how far a position is looked at, what is predicted is what was clicked."""
    contents = load_contents(folder_of(made))
    lists = made.prepared.test_lists
    assert lists is not None
    assert contents.ranker is not None
    assert contents.propensities is not None
    shown = lists.examples.requests.shown
    assert shown is not None
    clicks, expected = np.zeros(6), np.zeros(6)
    for row in range(len(lists)):
        one = lists.examples.take(np.array([row]))
        ranked = Funnel(contents.placing(contents.ranker))(one.requests)
        chances = dict(
            zip(
                ranked.items[0].tolist(), contents.heads["click"](ranked.head_scores["click"])[0], strict=True
            )
        )
        entries = slice(shown.items.offsets[row], shown.items.offsets[row + 1])
        for item, position, clicked in zip(
            shown.items.values[entries], shown.columns["position"][entries],
            shown.columns["outcome.click"][entries], strict=True,
        ):  # fmt: skip
            clicks[int(position)] += clicked
            expected[int(position)] += chances[item] * contents.propensities.values[int(position)]
    np.testing.assert_allclose(expected, clicks, atol=4 * np.sqrt(clicks.max()))


def test_the_gate_looks_at_each_head(made: TinyBuild) -> None:
    judged = Judged.load(Store(made.indexes), made.built.version)
    assert judged.holdout.shown is not None

    def findings(**changes: object) -> list[bool]:
        contents = replace(judged.contents, **changes)
        shown = judged.holdout.shown
        of = calibration(contents, judged.schema, judged.holdout.examples, GatesConfig(), 0, shown)
        return [one.passed for one in of]

    assert findings() == [True] * 6
    head = judged.contents.heads["purchase"]
    off = head.model_copy(
        update={"calibration": head.calibration.model_copy(update={"c": head.calibration.c + 2})}
    )
    assert findings(heads={**judged.contents.heads, "purchase": off}) == [True] * 4 + [False] * 2


def test_the_gate_fails_where_no_shown_list_is_there_to_look_at(made: TinyBuild) -> None:
    judged = Judged.load(Store(made.indexes), made.built.version)
    findings = calibration(judged.contents, judged.schema, judged.holdout.examples, GatesConfig(), 0, None)
    assert [one.passed for one in findings] == [True, True, False]
    assert "no list that was shown" in findings[-1].sentence


def test_the_holdout_keeps_shown_lists_as_they_were(made: TinyBuild) -> None:
    contents = load_contents(folder_of(made))
    shown = Holdout.load(folder_of(made) / HOLDOUT, contents).shown
    lists = made.prepared.test_lists
    assert shown is not None
    assert lists is not None
    assert len(shown) == len(lists)  # fewer than gates.holdout: all of them
    assert shown.requests.shown is not None
    assert lists.examples.requests.shown is not None
    for name, column in lists.examples.requests.shown.columns.items():
        np.testing.assert_array_equal(shown.requests.shown.columns[name], column)


def test_what_position_was_logged_changes_no_live_score(made: TinyBuild, tmp_path: Path) -> None:
    """The same lists with other positions, and clicks that all count the same: the same trees to the last
    bit, for the order and for each head."""
    data, config = made.prepared.dataset, made.config
    few = {"propensity": "none", "trees": 4, "lists": 800}
    config = config.model_copy(update={"ranker": config.ranker.model_copy(update=few)})
    assert data.impressions is not None
    turned = data.impressions.assign(position=5 - data.impressions["position"])
    models = []
    for frame in (data.impressions, turned):
        prepared = prepare(config, replace(data, impressions=frame))
        contents = configured(folder_of(made), config)
        ranker, facts = train_ranker(contents, prepared)
        assert ranker is not None
        parts = {"": ranker, **facts.further.trees}
        for name, trees in parts.items():
            trees.save(tmp_path / str(len(models)) / (name or "rank"))
        models.append(sorted((tmp_path / str(len(models))).glob("*/model.txt")))
    assert [path.parent.name for path in models[0]] == ["click", "purchase", "rank"]
    for first, second in zip(*models, strict=True):
        assert first.read_bytes() == second.read_bytes()
    contents = load_contents(folder_of(made))
    assert not any("position" in name for name in contents.candidate_features().names)


def test_users_of_a_fold_are_the_same_in_shown_lists(made: TinyBuild) -> None:
    """Else trees would be calibrated on users that they have seen."""
    folds = _folds(made.prepared.split.ranker, made.config.seed)
    contents = configured(folder_of(made), made.config)
    seen: list[set[int]] = []
    whole = made.prepared.ranker_lists
    logged = learn_from(contents, made.prepared, folds)
    assert whole is not None
    assert logged is not None
    assert sum(len(rows) for rows in logged.folds) == len(whole)
    lists_of_user = np.bincount(whole.examples.requests.users)
    for fold, rows in zip(folds, logged.folds, strict=True):
        users = set(fold.requests.users.tolist())
        assert lists_of_user[list(users)].sum() <= len(rows)
        seen.append(users)
    assert not seen[0] & seen[1]


def test_without_impressions_or_by_the_config_there_is_no_such_head(made: TinyBuild, tmp_path: Path) -> None:
    off = {"impressions": False, "lists": 800}
    towers = Store(made.embeddings)
    config = made.config.model_copy(update={"ranker": made.config.ranker.model_copy(update=off)})
    prepared = prepare(config, made.prepared.dataset)
    version = build(prepared, towers.path(towers.versions()[0].version), Store(tmp_path)).version
    contents = load_contents(Store(tmp_path).path(version))
    assert contents.propensities is None
    assert set(contents.heads) == {"event", "click", "purchase"}  # of candidates, by the kinds of events
    assert set(contents.head_trees) == {"click", "purchase"}
    report = Report.load(Store(tmp_path).path(version) / "report.json")
    measured = {one.head: one for one in report.probabilities}
    assert measured["click"].rows == measured["event"].rows
    assert measured["click"].positives + measured["purchase"].positives == measured["event"].positives
    for name in ("click", "purchase"):
        assert measured[name].normalised_entropy.hi < 1
        assert measured[name].ratio.mean == pytest.approx(1, abs=0.15)
    judged = Judged.load(Store(tmp_path), version)
    findings = calibration(judged.contents, judged.schema, judged.holdout.examples, GatesConfig(), 0)
    assert [one.passed for one in findings] == [True] * 6


class Elsewhere:
    """Workers as in other processes: what they are sent and send back goes as bytes."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        work = Delivered(Shipment(recipe).text).value.work
        for part in parts:
            self.parts[recipe.make.__name__] += 1
            yield deepcopy(work(deepcopy(part)))

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        raise NotImplementedError


def test_workers_grow_the_trees_of_heads(made: TinyBuild) -> None:
    """A head each, and the same."""
    pytest.importorskip("ray")
    folds = _folds(made.prepared.split.ranker, made.config.seed)
    logged = learn_from(configured(folder_of(made), made.config), made.prepared, folds)
    assert logged is not None
    few = made.config.ranker.model_copy(update={"trees": 5})
    alone, workers = shown_heads(logged, few), Elsewhere()
    with done_by(workers):
        theirs = shown_heads(logged, few)
    assert workers.parts == {"_learner": len(alone.trees)} == {"_learner": 2}
    assert theirs.heads == alone.heads
    for name, trees in alone.trees.items():
        assert (theirs.trees[name].text, theirs.trees[name].begin) == (trees.text, trees.begin)


def test_workers_score_by_heads_as_the_command_does(made: TinyBuild) -> None:
    """Scores that begin with a feature, too."""
    pytest.importorskip("ray")
    contents, requests = load_contents(folder_of(made)), made.prepared.split.test.requests.take(slice(0, 4))
    assert any(trees.begin is not None for trees in contents.head_trees.values())
    here = _ranked(contents)(requests)
    (theirs,) = Elsewhere().each(Recipe(_ranked, contents), [requests])
    assert set(here.head_scores) == {"click", "purchase"}
    for name, scores in here.head_scores.items():
        np.testing.assert_array_equal(theirs.head_scores[name], scores)


def _ranked(contents: Contents) -> Callable[[Requests], Candidates]:
    return Funnel(contents.until_reranking(10))


def test_a_name_that_is_no_head_is_refused_before_training(made: TinyBuild) -> None:
    config = made.config.model_copy(
        update={"rank": made.config.rank.model_copy(update={"value": "p_clik * bid"})}
    )
    with pytest.raises(ConfigError, match=r"'p_clik' in .* is not known; did you mean 'p_click'"):
        check_config(prepare(config, made.prepared.dataset))


def test_damaged_files_of_heads_are_refused(made: TinyBuild, tmp_path: Path) -> None:
    for name, content in (
        ("heads.json", '{"click": 1}'),
        ("heads.json", "["),
        ("propensities.json", '{"values": [2]}'),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(folder_of(made), folder)
        (folder / "ranker" / name).write_text(content)
        with pytest.raises(BundleError, match=name):
            load_contents(folder)


def test_an_earlier_bundle_has_its_one_probability(made: TinyBuild, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(folder_of(made), folder)
    for path in folder.glob("ranker/*"):
        if path.name.startswith("head") or path.name == "propensities.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept = json.loads((folder / "ranker" / "probabilities.json").read_text())
    (folder / "ranker" / "probabilities.json").write_text(json.dumps({"event": kept["event"]}))
    settings = json.loads((folder / "serve.json").read_text())
    (folder / "serve.json").write_text(json.dumps({**settings, "rank": {"value": "p_event * bid"}}))
    contents = load_contents(folder)
    assert list(contents.heads) == ["event"]
    assert contents.head_trees == {}
