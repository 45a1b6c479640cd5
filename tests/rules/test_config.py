"""Rules in a config: what is refused, when, and what a build makes of them."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from funnel import Live
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents, save_settings
from funnel.cli import app
from funnel.config import configure
from funnel.errors import ConfigError
from funnel.pipeline import prepare
from funnel.pipeline.checks import check
from funnel.pipeline.report import report_on
from funnel.pipeline.rules import costs_of_rules
from tests.conftest import ROOT
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild, movie_config

AT_MOST = {"kind": "at_most", "column": "genres", "n": 2}
PIN = {"kind": "pin", "item": 7, "position": 1}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"kind": "at_mots"}], r"'rules.0.kind' is 'at_mots'; did you mean 'at_most'\?"),
        ([{"column": "genres"}], "'rules.0.kind' is missing; there are: at_most, at_least, pin"),
        ([AT_MOST | {"n": -1}], "'rules.0.at_most.n' is -1"),
        ([AT_MOST | {"n": 0}], "greater than or equal to 1"),
        ([AT_MOST | {"n": True}], "truth value"),
        ([AT_MOST | {"colum": "x"}], r"unknown key 'rules.0.at_most.colum'; did you mean 'column'\?"),
        ([AT_MOST, AT_MOST], "both called 'at_most genres'"),
        ([AT_MOST, AT_MOST | {"n": 3, "name": "other"}], "'at_most genres' and 'other' contradict"),
        ([PIN, PIN | {"item": 8, "name": "b"}], "'pin' and 'b' contradict: both want position 1"),
        ([PIN, PIN | {"position": 2, "name": "b"}], "'pin' and 'b' contradict: both want item 7"),
        ([PIN | {"position": 0}], "greater than or equal to 1"),
        (
            [{"kind": "at_least", "where": {"genres": "Drama"}, "n": 11}],
            "11 items of a list of rerank.k = 10",
        ),
        ([{"kind": "boost", "where": {"a": 1}}], "one of multiply, add and to is expected; given: none"),
        ([{"kind": "boost", "where": {"a": 1}, "add": 1, "to": "back"}], "given: add, to"),
        ([{"kind": "boost", "where": {"a": 1}, "multiply": 0.0}], "greater than 0"),
        ([{"kind": "boost", "where": {"a": 1}, "add": float("nan")}], "finite"),
        ([{"kind": "apart", "column": "genres", "values": [["Drama"]]}], "kept apart from"),
        ([{"kind": "cap", "column": "genres", "shows": 3, "per": "1 day"}], "a number with s, m, h or d"),
        ([{"kind": "cap", "column": "genres", "shows": 3, "per": "91d"}], 'at most "90d"'),
        ([{"kind": "budget", "limit": "a", "spent": "b", "curve": [0, 0]}], "nothing would ever be spent"),
        ([{"kind": "budget", "limit": "a", "spent": "b", "curve": [-1, 2]}], "greater than or equal to 0"),
        ([{"kind": "reserve", "where": {"a": 1}, "positions": [2, 2]}], "comes twice"),
        ("at_most", "'rules' is 'at_most'"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_config_is_read(rules: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure("x", rules=rules)


#: Rules that are sound in themselves, and what the movies do not have.
UNFIT = [
    (AT_MOST | {"column": "genre"}, "items have no column 'genre'; did you mean 'genres'"),
    ({"kind": "at_least", "where": {"yaer": 1990}, "n": 1}, "'yaer'.*did you mean 'year'"),
    ({"kind": "reserve", "where": {"year": "new"}, "positions": [1]}, "'reserve'.*this column holds numbers"),
    ({"kind": "budget", "limit": "genres", "spent": "year"}, "'genres' holds texts; numbers are expected"),
    ({"kind": "cap", "column": "campaign", "shows": 1, "per": "1d"}, "no column 'campaign'"),
]


@pytest.mark.parametrize(("rule", "message"), UNFIT)
def test_what_the_items_do_not_have_is_refused_before_work(movies: Path, rule: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(prepare(movie_config(movies, rules=[rule])))


@pytest.mark.parametrize(("rule", "message"), UNFIT[:2])
def test_and_again_when_a_bundle_is_loaded(built: TinyBuild, tmp_path: Path, rule: Any, message: str) -> None:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    store = Store(tmp_path / "indexes")

    def declare(folder: Path) -> None:
        path = folder / "serve.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rules": [rule]}))

    store.publish(variant(store, declare))
    with pytest.raises(ConfigError, match=message):
        Live(store.folder)


def test_a_bundle_without_rules_is_what_it_was(built: TinyBuild) -> None:
    settings = json.loads((Store(built.indexes).path("current") / "serve.json").read_text())
    assert "rules" not in settings
    assert [row.name for row in built.built.report.rows if row.kind == "stage"] == [
        "retrieve", "filter", "rank", "rerank",
    ]  # fmt: skip


def test_the_report_says_what_rules_cost_and_the_command_what_they_did(
    built: TinyBuild, tmp_path: Path
) -> None:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    store = Store(tmp_path / "indexes")
    config = movie_config(Path(built.config.data.path), rules=[AT_MOST | {"n": 1}, PIN | {"item": 150}])  # type: ignore[arg-type]
    contents = replace(load_contents(store.path("current")), rules=config.rules)
    report = report_on(contents, built.prepared)
    names = [row.name for row in report.rows if row.kind == "stage"]
    assert names == ["retrieve", "filter", "eligible", "rank", "rerank", "rules"]
    before, after = (report.row(name).metrics["ndcg@10"].mean for name in ("rerank", "rules"))
    assert after < before  # one of each genre is no way to rank
    notes = [note for note in report.notes if note.startswith("rule ")]
    assert len(notes) == 2
    figures = [[float(one) for one in re.findall(r"0\.\d{4}", note)] for note in notes]
    assert figures[0][0] == figures[1][0] < min(figures[0][1], figures[1][1])

    store.publish(variant(store, lambda folder: save_settings(folder, contents)))
    done = CliRunner().invoke(app, ["recommend", "7", "--store", str(store.folder), "--explain"])
    assert done.exit_code == 0, done.output
    assert "gave_way:at_most genres" in done.output
    told = json.loads(
        CliRunner().invoke(app, ["recommend", "11", "--store", str(store.folder), "--json"]).stdout
    )
    assert told["items"][0]["item_id"] == 150
    assert told["items"][0]["reasons"][0] == "rule:pin"


def test_the_report_says_what_a_cap_keeps_from_one_list(built: TinyBuild) -> None:
    """Nobody was shown anything in what is replayed, and budgets go by a clock that it has not."""
    cap = {"kind": "cap", "column": "genres", "shows": 1, "per": "1d"}
    budget = {"kind": "budget", "limit": "year", "spent": "year"}
    contents = replace(
        load_contents(Store(built.indexes).path("current")), rules=configure("x", rules=[cap, budget]).rules
    )
    (note,) = costs_of_rules(contents, built.prepared.split.test, 10, seed=0)
    assert note.startswith("rule 'cap genres'")
    with_all, without = [float(one) for one in re.findall(r"0\.\d{4}", note)]
    assert with_all < without
    shown = contents.funnel(10)(built.prepared.split.test.requests.take(slice(50))).items
    for some in shown:
        genres = contents.catalogue.values_of("genres", some[some >= 0])
        every = [genre for one in genres for genre in one]
        assert 0 < len(every) == len(set(every))


def test_the_rules_of_the_document_are_rules() -> None:
    text = (ROOT / "docs" / "rules.md").read_text()
    blocks = [
        tomllib.loads(block)["rules"] for block in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)
    ]
    assert {rule["kind"] for some in blocks for rule in some} == {
        "at_most", "at_least", "pin", "reserve", "boost", "apart", "cap", "budget",
    }  # fmt: skip
    for some in blocks:
        assert len(configure("x", rules=some).rules) == len(some)
