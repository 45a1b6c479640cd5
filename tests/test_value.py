"""Lists by expected value, from the config to the answer. The films' year stands for a bid."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import funnel
from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents, save_settings
from funnel.cli import app
from funnel.errors import ConfigError
from funnel.evaluation import Report
from funnel.pipeline import prepare
from funnel.pipeline.checks import check
from funnel.stages import RankConfig
from tests.tiny import TinyBuild, movie_config
from tests.undrawn import build

VALUE = "p_event * (year - 1979)"


@pytest.fixture(scope="module")
def store(movies: Path, built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small movies with the towers of `built`, published under an expected value."""
    folder = tmp_path_factory.mktemp("valued")
    towers = Store(built.embeddings)
    prepared = prepare(movie_config(movies, rank={"value": VALUE}))
    version = build(prepared, towers.path(towers.versions()[0].version), Store(folder)).version
    Store(folder).publish(version)
    return folder


@pytest.fixture
def live(store: Path, tmp_path: Path) -> Iterator[funnel.Live]:
    """With a state of its own, since items are changed."""
    live = funnel.Live(store, state=funnel.SqliteLog(tmp_path / "state.sqlite"))
    yield live
    live.close()


def user_of(built: TinyBuild) -> int:
    return int(built.built.users[0])


def test_the_list_is_in_the_order_of_the_expression(built: TinyBuild, live: funnel.Live) -> None:
    items = live.recommend(user_of(built), k=30).items
    worth = [item.probabilities["event"] * (item.attributes["year"] - 1979) for item in items]
    assert worth == sorted(worth, reverse=True)
    assert [item.value["expected"] for item in items] == pytest.approx(worth)
    assert [item.score for item in items] == pytest.approx(worth, rel=1e-6)
    assert items[0].value == {
        "p_event": items[0].probabilities["event"],
        "year": items[0].attributes["year"],
        "expected": pytest.approx(worth[0]),
    }
    ranked = funnel.Live(built.indexes).recommend(user_of(built), k=30).items
    assert [item.item_id for item in items] != [item.item_id for item in ranked]


def test_a_patch_counts_in_the_next_request(built: TinyBuild, live: funnel.Live) -> None:
    before = live.recommend(user_of(built), k=30).items
    last = before[-1]
    live.items.patch([last.item_id], {"year": 100_000})
    after = live.recommend(user_of(built), k=30).items
    assert after[0].item_id == last.item_id
    assert after[0].value["year"] == 100_000
    assert after[0].probabilities == last.probabilities or after[0].value["expected"] > 1
    live.items.forget([last.item_id])
    assert [one.item_id for one in live.recommend(user_of(built), k=30).items] == [
        one.item_id for one in before
    ]


def test_what_has_no_value_or_a_negative_one_stays_behind_and_is_there(
    built: TinyBuild, live: funnel.Live
) -> None:
    first, second = (item.item_id for item in live.recommend(user_of(built), k=2).items)
    n = len(live.recommend(user_of(built), k=100).items)
    live.items.patch([first], {"year": None})
    live.items.patch([second], {"year": -5000})
    answer = live.recommend(user_of(built), k=100)
    assert len(answer.items) == n
    assert [item.item_id for item in answer.items[-2:]] == [second, first]
    *others, negative, unknown = answer.items
    assert negative.value["expected"] < 0 < others[-1].value["expected"] + 1e-12
    assert math.isnan(unknown.value["expected"])
    assert "no_value" in unknown.reasons
    assert not any("no_value" in item.reasons for item in [*others, negative])
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    written = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert written["items"][-1]["value"]["expected"] is None


def test_a_new_item_has_a_value_at_once(built: TinyBuild, live: funnel.Live) -> None:
    first = live.recommend(user_of(built), k=1).items[0]
    columns = {name: [value] for name, value in first.attributes.items()}
    live.items.upsert(pd.DataFrame({**columns, "item_id": [777_777], "year": [90_000]}))
    (new,) = live.recommend(user_of(built), where={"year": {"gt": 80_000}}).items
    assert new.item_id == 777_777
    assert new.value["expected"] == pytest.approx(new.probabilities["event"] * (90_000 - 1979))


def test_explain_prints_the_parts(store: Path, built: TinyBuild) -> None:
    arguments = ["recommend", str(user_of(built)), "-k", "3", "--store", str(store), "--explain"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "what the order goes by" in result.output
    assert "p_event" in result.output


def valued(store: Path, **rank: Any) -> Any:
    """The bundle's contents under another expression."""
    contents = load_contents(Store(store).path(Store(store).current()))
    return replace(contents, rank=RankConfig(**rank))


def ranked(contents: Any, examples: Any) -> tuple[Any, Any]:
    """What the ranker and the value leave of some requests."""
    steps = {step.name: step.candidates for step in contents.funnel().trace(examples.requests)}
    return steps["rank"], steps["value"]


def test_equal_values_keep_the_order_of_the_ranker(store: Path, built: TinyBuild) -> None:
    examples = built.prepared.split.test.take(np.arange(20))
    before, after = ranked(valued(store, value="1 + 0 * p_event"), examples)
    np.testing.assert_array_equal(before.items, after.items)


def test_below_a_floor_stands_behind(store: Path, built: TinyBuild) -> None:
    examples = built.prepared.split.test.take(np.arange(20))
    contents = valued(store, value=VALUE)
    head = contents.heads["event"]
    least = float(np.median(head(ranked(contents, examples)[0].scores)))
    before, after = ranked(valued(store, value=VALUE, floor={"p_event": least}), examples)
    both = 0
    for row in range(20):
        by_item = dict(zip(before.items[row].tolist(), before.scores[row].tolist(), strict=True))
        chances = head(np.array([by_item[item] for item in after.items[row].tolist()], np.float32))
        reached = chances >= least
        both += bool(reached.any() and not reached.all())
        assert (np.diff(reached.astype(int)) <= 0).all()
        # What draws a list behind this keeps to it.
        assert after.tiers is not None
        np.testing.assert_array_equal(after.tiers[row][after.items[row] >= 0] == 0, reached)
    assert both > 10
    assert (np.diff(after.scores, axis=1) <= 0).all()
    assert sorted(after.items[0]) == sorted(before.items[0])


def test_a_division_by_zero_is_no_value(store: Path, built: TinyBuild) -> None:
    examples = built.prepared.split.test.take(np.arange(5))
    contents = valued(store, value="p_event / (year - 1985)")
    before, after = ranked(contents, examples)
    years = np.array(contents.catalogue.values_of("year", np.arange(len(contents.catalogue.ids))))
    assert (years == 1985).any()
    for row in range(5):
        zero = years[after.items[row]] == 1985
        assert zero.any()
        assert zero[-zero.sum() :].all()
        known = np.isin(before.items[row], after.items[row][zero])
        np.testing.assert_array_equal(after.items[row][zero], before.items[row][known])


def test_a_deadline_that_leaves_the_ranker_out_leaves_the_value_out(
    built: TinyBuild, live: funnel.Live
) -> None:
    for _ in range(30):
        live.recommend(user_of(built))
    answer = live.recommend(user_of(built), deadline=1e-6)
    assert {"skipped:rank", "skipped:value"} <= set(answer.reasons)
    assert all(item.value == {} for item in answer.items)


def test_without_probabilities_the_answer_says_so(store: Path) -> None:
    live = funnel.Live(store)
    live.overlay.loaded = live.overlay.loaded.with_contents(live.contents.without_ranker())
    assert "no_value" in live.recommend(7).reasons
    live.close()


def test_the_report_has_a_row_and_what_it_is_worth(store: Path) -> None:
    report = Report.load(Store(store).path(Store(store).current()) / "report.json")
    names = [row.name for row in report.rows]
    assert names[names.index("rank") + 1] == "value"
    worth = {row.name: row.expected_value for row in report.rows}
    assert worth["popular"] is None
    assert worth["retrieve"] is not None
    assert worth["value"] is not None
    assert worth["rank"] is not None
    assert worth["value"] > worth["rank"] > 0
    assert worth["value"] > worth["retrieve"] > 0
    assert "exp. value" in (Store(store).path(Store(store).current()) / "report.html").read_text()


def test_what_a_row_is_worth_is_the_sum_over_its_first_items(store: Path, movies: Path) -> None:
    """By hand from the lists that each stage leaves, also those in front of the ranker."""
    folder = Store(store).path(Store(store).current())
    contents, report = load_contents(folder), Report.load(folder / "report.json")
    years = contents.catalogue.frame["year"].to_numpy(np.float64)
    test = prepare(movie_config(movies, rank={"value": VALUE})).split.test
    steps = {step.name: step.candidates for step in contents.funnel(10).trace(test.requests)}
    head, ranked, totals = contents.heads["event"], steps["rank"], dict.fromkeys(("retrieve", "value"), 0.0)
    for row in range(len(test)):
        filled = ranked.items[row] >= 0
        chances = head(ranked.scores[row, filled])
        worth = dict(zip(ranked.items[row, filled].tolist(), chances, strict=True))
        for name in totals:
            for item in steps[name].items[row, :10].tolist():
                totals[name] += worth[item] * (years[item] - 1979) if item >= 0 else 0.0
    for name, total in totals.items():
        assert report.row(name).expected_value == pytest.approx(total / len(test), rel=1e-4)


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ({"value": "p_event *"}, "'rank.value'.*is no expression"),
        ({"value": "3"}, "reads no probability and no column"),
        ({"floor": {"p_event": 0.1}}, "rank.floor is given without rank.value"),
        ({"valu": "p_event"}, r"unknown key 'rank\.valu'; did you mean 'value'\?"),
    ],
)
def test_a_config_with_a_mistake_is_refused(rank: dict[str, Any], message: str, movies: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        movie_config(movies, rank=rank)


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        ({"value": "p_event * yaer"}, r"'yaer' in .* did you mean 'year'\?"),
        ({"value": "p_click * year"}, "'p_click'"),
        ({"value": "p_event * title"}, "'title'"),  # is there, and no number
        (
            {"value": "p_event", "floor": {"yeer": 1}},
            r"rank.floor: 'yeer' is not known; did you mean",
        ),
    ],
)
def test_a_name_that_is_not_there_is_refused_before_training(
    rank: dict[str, Any], message: str, built: TinyBuild, movies: Path
) -> None:
    prepared = replace(built.prepared, config=configs.parse(movie_config(movies, rank=rank).model_dump()))
    with pytest.raises(ConfigError, match=message):
        check(prepared)


def test_a_bundle_whose_expression_reads_what_it_has_not_is_refused(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(Store(store).path(Store(store).current()), folder)
    save_settings(folder, valued(store, value="p_event * margin"))
    with pytest.raises(ConfigError, match="margin"):
        load_contents(folder)
