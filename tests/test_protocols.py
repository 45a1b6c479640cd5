"""The whole path on lists that were shown, and on sets in a published split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.data import Column, Dataset, Schema
from funnel.evaluation import random_targets
from funnel.pipeline import prepare, report_on, train_towers
from tests.tiny import TinyBuild
from tests.undrawn import build

QUICK: dict[str, Any] = {
    "towers": {"d": 16, "layers": 1, "heads": 1, "epochs": 8},
    "ranker": {"trees": 40, "leaves": 7, "min_data_in_leaf": 20},
    "retrieve": {"k": 40},
    "evaluate": {"ks": [5, 20], "latency_requests": 2},
}


def built(where: Path, **sections: Any) -> TinyBuild:
    config = configs.parse({"name": "small", **QUICK, **sections})
    prepared = prepare(config)
    towers = train_towers(prepared, Store(where / "embeddings"))
    made = build(prepared, towers, Store(where / "indexes"))
    Store(where / "indexes").publish(made.version)
    return TinyBuild(config, prepared, made, where / "indexes", where / "embeddings")


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    """People click the cheapest of ten hotels, mostly."""
    folder = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(0)
    events, lists = [], []
    for request in range(600):
        user, time = f"u{rng.integers(150)}", 1_700_000_000 + 60 * request
        hotels, prices = rng.choice(80, 10, replace=False), rng.integers(50, 300, 10)
        taken = int(prices.argmin() if rng.random() < 0.8 else rng.integers(10))
        events.append((user, f"h{hotels[taken]}", time))
        for place, (hotel, price) in enumerate(zip(hotels, prices, strict=True)):
            lists.append((request, user, f"h{hotel}", time, place, place == taken, float(price)))
    names = ["request_id", "user_id", "item_id", "time", "position", "clicked", "price"]
    dataset = Dataset.from_frames(
        Schema(impressions=(Column(name="price", kind="number"),)),
        pd.DataFrame(events, columns=["user_id", "item_id", "time"]),
        impressions=pd.DataFrame(lists, columns=names),
    )
    dataset.save(folder / "data")
    return built(
        folder,
        data={"reader": "folder", "path": str(folder / "data")},
        split={"protocol": "shown", "exclude_seen": False, "ranker": 0.4, "test": 0.8},
    )


def test_a_ranker_learns_from_what_was_shown_and_is_held_against_that_order(search: TinyBuild) -> None:
    report = search.built.report
    assert report.rows[0].name == "as shown"
    assert "the list that was shown is ranked" in report.subject.rules
    assert {row.candidates_out for row in report.rows if row.name == "rank"} == {10.0}
    assert report.row("rank").metrics["ndcg@5"].mean > 0.7
    assert report.comparison("rank", "as shown").difference.better
    assert report.chance["ndcg@5"] == pytest.approx(np.sum(1 / np.log2(np.arange(2, 7))) / 10)
    assert abs(report.row("as shown").metrics["ndcg@5"].mean - report.chance["ndcg@5"]) < 0.1


def test_shuffled_clicks_bring_every_figure_to_chance(search: TinyBuild) -> None:
    prepared = search.prepared
    test = random_targets(prepared.split.test, len(prepared.dataset.items), seed=1)
    shown = test.requests.shown
    assert shown is not None
    assert all(set(test.targets[i]) <= set(shown.items[i]) for i in range(len(test)))
    shuffled = replace(prepared, split=replace(prepared.split, test=test))
    report = report_on(load_contents(search.built.folder), shuffled)
    for row in report.rows:
        value = row.metrics["ndcg@5"]
        assert abs(value.mean - report.chance["ndcg@5"]) < 1.5 * (value.hi - value.lo), row.name


def test_such_a_bundle_answers_from_the_catalogue_too(search: TinyBuild) -> None:
    answer = Live(search.indexes).recommend("u1", 5)
    assert len(answer.items) == 5


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    """Each user meets items of one group of twenty, in LightGCN's files."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for user in range(300):
        items = rng.integers(8) * 20 + rng.permutation(20)[:15]
        for name, part in (("train", items[:11]), ("test", items[11:])):
            lines[name].append(" ".join(map(str, [user, *part.tolist()])))
    for name, own in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(own) + "\n")
    return built(folder, data={"reader": "lightgcn", "path": str(folder)}, split={"kind": "given"})


def test_sets_in_a_published_split_are_learned(sets: TinyBuild) -> None:
    """Nine items of the user's group are left, of which four are wanted."""
    report = sets.built.report
    assert report.row("exact").metrics["ndcg@20"].mean > 0.6
    assert report.row("popular").metrics["ndcg@20"].mean < 0.2
    assert sets.prepared.dataset.clock == "none"
    live = Live(sets.indexes)
    assert len(live.recommend(5, 10).items) == 10


def test_keys_that_change_nothing_on_such_events_are_named(
    search: TinyBuild, sets: TinyBuild, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = {}
    for made, folder in ((search, "order"), (sets, "sets")):
        config = made.config.model_dump(mode="json")
        config["towers"] |= {"d": 8, "epochs": 1, "layers": 1, "heads": 2, "dropout": 0.5, "graph": 1}
        prepared = replace(made.prepared, config=configs.parse(config))
        caplog.clear()
        train_towers(prepared, Store(tmp_path / folder))
        said[folder] = caplog.text
    assert "have an order, and their towers do not read towers.graph = 1\n" in said["order"]
    assert (
        "have no order, and their towers do not read towers.layers = 1, towers.dropout = 0.5\n"
        in said["sets"]
    )
