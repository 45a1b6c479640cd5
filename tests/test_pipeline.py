"""From a config to a bundle: what the report says, that nothing looks ahead, and that a seed repeats."""

from __future__ import annotations

import importlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import funnel
from funnel import Live
from funnel.artifacts import Manifest, Store
from funnel.bundle.contents import load_contents
from funnel.data import Dataset, Schema
from funnel.errors import BundleError, ConfigError, DataError
from funnel.evaluation import random_targets
from funnel.pipeline import build, evaluate_bundle, prepare, ranker_is_better, report_on, train_towers
from funnel.synthetic import SyntheticConfig, write_world
from funnel.towers.training.train import train
from funnel.towers.training.warm import Start
from tests.tiny import TinyBuild, build_movies, movie_config


def test_the_report_walks_the_stages_beside_baselines_and_exact_search(built: TinyBuild) -> None:
    report = built.built.report
    assert [row.name for row in report.rows] == [
        "popular", "recent-popular", "co-visitation", "exact", "retrieve", "filter", "rank", "rerank",
    ]  # fmt: skip
    assert report.subject.protocol == "event"
    assert report.search_recall == {10: 1.0, 50: 1.0}
    for row in report.rows:
        ndcg = row.metrics["ndcg@10"]
        assert ndcg.lo <= ndcg.mean <= ndcg.hi
    assert {(c.a, c.b) for c in report.comparisons} >= {("rank", "retrieve"), ("rank", "popular")}
    assert any("were not retrieved (drop)" in note for note in report.notes)


def test_what_is_published_is_what_was_measured(built: TinyBuild) -> None:
    contents, found = evaluate_bundle(Store(built.indexes), "current", built.prepared)
    report = found.report
    assert (contents.ranker is not None) == ranker_is_better(report)
    again = {row.name: row.metrics for row in report.rows}
    assert again == {row.name: row.metrics for row in built.built.report.rows}
    assert (built.built.folder / "report.html").read_text().startswith("<!")
    assert json.loads((built.built.folder / "report.json").read_text())["subject"]["dataset"]


def test_shuffled_labels_bring_every_figure_to_chance(built: TinyBuild) -> None:
    test = random_targets(built.prepared.split.test, len(built.prepared.dataset.items), seed=1)
    shuffled = replace(built.prepared, split=replace(built.prepared.split, test=test))
    report = report_on(load_contents(built.built.folder), shuffled)
    for row in report.rows:
        for name in ("ndcg@10", "recall@10", "mrr@10"):
            value = row.metrics[name]
            slack = 1.5 * (value.hi - value.lo)
            assert abs(value.mean - report.chance[name]) < slack, f"{row.name} {name}"


def test_the_same_seed_gives_the_same_fingerprint(built: TinyBuild, movies: Path, tmp_path: Path) -> None:
    again = build_movies(movies, tmp_path)
    first, second = (Store(one.indexes).verify(one.built.version) for one in (built, again))
    assert first.fingerprint == second.fingerprint
    assert first.version == second.version


def test_events_after_the_test_window_starts_change_no_training(built: TinyBuild, tmp_path: Path) -> None:
    """Towers, index, ranker and matrices come out the same when the test window's items are others."""
    data = tmp_path / "data"
    shutil.copytree(str(built.config.data.path), data)
    ratings = pd.read_csv(data / "ratings.csv")
    start = built.prepared.split.test.requests.times.min()
    later = ratings["timestamp"] >= start
    rng = np.random.default_rng(0)
    ratings.loc[later, "movieId"] = rng.permutation(ratings.loc[later, "movieId"])
    ratings.drop_duplicates(["userId", "movieId"]).to_csv(data / "ratings.csv", index=False)
    other = build_movies(data, tmp_path, split=built.config.split.model_dump() | dates_of(built))
    for part in ("towers/query_tower.onnx", "towers/item_vectors.npy", "ranker/model.txt"):
        assert (other.built.folder / part).read_bytes() == (built.built.folder / part).read_bytes(), part


def dates_of(built: TinyBuild) -> dict[str, str]:
    """The windows' starts as dates, which stay where they are when events are dropped."""
    split = built.prepared.split
    starts = {"ranker": split.ranker.requests.times.min(), "test": split.test.requests.times.min()}
    return {name: pd.Timestamp(int(at), unit="s").isoformat() for name, at in starts.items()}


def test_equal_inputs_are_not_trained_twice(built: TinyBuild) -> None:
    store = Store(built.embeddings)
    before = {one.version for one in store.versions()}
    folder = train_towers(built.prepared, store)
    assert {one.version for one in store.versions()} == before == {folder.name}


def test_towers_of_an_earlier_funnel_are_trained_anew(
    built: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built.embeddings, tmp_path / "embeddings")
    store = Store(tmp_path / "embeddings")
    before = [one.version for one in store.versions()]
    monkeypatch.setattr("funnel.pipeline.train.TOWERS", 99)
    train_towers(built.prepared, store)
    assert len(store.versions()) == len(before) + 1
    assert store.versions()[0].config["made"] == 99


def test_towers_that_serve_were_trained_on_all_that_the_test_window_may_know(built: TinyBuild) -> None:
    """From the first training's weights, for a third of the epochs that did best on the ranker's window, and
    nothing else from it."""
    parts, config = built.prepared.split, built.config.towers
    version = Store(built.embeddings).path(Store(built.embeddings).versions()[0].version)
    first = json.loads((version / "towers.json").read_text())
    prepared = built.prepared
    start = Start.load(
        version / "training", version.name, prepared.dataset.item_ids, prepared.item_encoder,
        prepared.user_encoder,
    )  # fmt: skip
    assert parts.refit is not None
    assert len(parts.refit) > len(parts.train)
    again = train(
        parts.refit, prepared.item_features, prepared.item_encoder.specs,
        prepared.user_features, prepared.user_encoder.specs, None,
        config.model_copy(update={"epochs": math.ceil((first["best_epoch"] + 1) / 3)}),
        seed=built.config.seed, start_from=start,
    )  # fmt: skip
    served = np.load(built.built.folder / "towers" / "item_vectors.npy")
    np.testing.assert_array_equal(served, again.item_vectors)
    assert not np.array_equal(served, np.load(version / "item_vectors.npy"))


def test_the_same_data_in_another_folder_are_not_trained_again(
    movies: Path, built: TinyBuild, tmp_path: Path
) -> None:
    shutil.copytree(movies, tmp_path / "elsewhere")
    config = built.config.model_copy(
        update={"data": built.config.data.model_copy(update={"path": str(tmp_path / "elsewhere")})}
    )
    store = Store(built.embeddings)
    before = [one.version for one in store.versions()]
    assert train_towers(prepare(config), store).name in before
    assert [one.version for one in store.versions()] == before


def test_the_last_towers_are_those_of_the_configs_name(
    movies: Path, built: TinyBuild, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside towers of another name, whose vectors have another length."""
    store, started = Store(tmp_path), []
    (of_movies,) = Store(built.embeddings).versions()
    (tmp_path / of_movies.version).symlink_to(Store(built.embeddings).path(of_movies.version))
    towers = {"d": 8, "layers": 1, "heads": 1, "epochs": 1, "history": 5}
    for seed in (0, 1):
        config = movie_config(movies, name="films", towers=towers, seed=seed)
        prepared = replace(built.prepared, config=config)
        started.append(train_towers(prepared, store, start_from="last"))
    first, second = (Manifest.load(folder) for folder in started)
    assert "start_from" not in first.config
    assert "no towers of 'films'" in caplog.text
    assert second.config["start_from"] == first.version


def test_a_useless_ranker_is_left_out(movies: Path, built: TinyBuild, tmp_path: Path) -> None:
    """Trees that may look at one meaningless column cannot beat the retrieval order."""
    config = movie_config(movies, features={"names": ["history.length"]})
    prepared = prepare(config)
    towers = next(iter(Store(built.embeddings).versions()))
    made = build(prepared, Store(built.embeddings).path(towers.version), Store(tmp_path))
    Store(tmp_path).publish(made.version)
    live = Live(tmp_path)
    assert live.manifest.fallback == ("ranker_not_better_on_other_users",)
    assert [row.name for row in made.report.rows][-3:] == ["retrieve", "filter", "rerank"]
    (advice,) = [one for one in made.report.advice if one.about == "ranker"]
    assert "the ranker was left out: it was not better than the retrieval order" in advice.sentence
    assert "retrieval_order_kept" in live.recommend(7).reasons


def test_a_bundle_of_another_schema_is_refused(built: TinyBuild, tmp_path: Path) -> None:
    data = tmp_path / "data"
    world = SyntheticConfig(users=60, items=80, events_per_user=10)
    write_world(world, data)
    other = prepare(movie_config(data, data={"reader": "synthetic", "path": str(data)}))
    with pytest.raises(BundleError, match="another schema"):
        evaluate_bundle(Store(built.indexes), "current", other)


def test_a_bundle_of_other_items_is_refused(built: TinyBuild, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(str(built.config.data.path), data)
    movies = pd.read_csv(data / "movies.csv")
    movies.loc[len(movies)] = [9999, "A new movie (2020)", "Drama"]
    movies.to_csv(data / "movies.csv", index=False)
    with pytest.raises(BundleError, match="has 200 items"):
        evaluate_bundle(Store(built.indexes), "current", prepare(movie_config(data)))


def test_a_window_without_events_is_a_clear_error(movies: Path) -> None:
    with pytest.raises(DataError):
        prepare(movie_config(movies, split={"kind": "time", "ranker": "1999-01-01", "test": "2030-01-01"}))


def test_a_store_is_named_by_its_folder_too(built: TinyBuild, tmp_path: Path) -> None:
    towers = funnel.train(built.prepared, str(built.embeddings))
    assert towers == Store(built.embeddings).path(towers.name)
    assert funnel.diff(str(built.indexes), "current", "current").answers.overlap == 1
    for refused in (
        lambda: funnel.publish(str(tmp_path), "x-1"),
        lambda: funnel.judge(tmp_path, "x-1"),
        lambda: funnel.evaluate(str(tmp_path), "x-1", built.prepared),
        lambda: funnel.stop_experiment(str(tmp_path), "x"),
    ):
        with pytest.raises((BundleError, ConfigError)):
            refused()


def test_nothing_is_left_when_a_build_fails(
    built: TinyBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(importlib.import_module("funnel.pipeline.build"), "report_on", broken)
    towers = Store(built.embeddings).path(Store(built.embeddings).versions()[0].version)
    with pytest.raises(RuntimeError, match="on fire"):
        build(built.prepared, towers, Store(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_of_one_item_runs_end_to_end(tmp_path: Path) -> None:
    events = pd.DataFrame({"user_id": range(50), "item_id": 1, "time": range(1000, 1050)})
    Dataset.from_frames(Schema(), events).save(tmp_path / "data")
    made = build_movies(
        tmp_path / "data", tmp_path, data={"reader": "folder", "path": str(tmp_path / "data")}
    )
    assert [row.metrics["ndcg@10"].mean for row in made.built.report.rows if row.name == "rerank"] == [1.0]
    answer = Live(made.indexes).recommend("somebody new")
    assert [item.item_id for item in answer.items] == [1]
    assert answer.reasons == ("unknown_user", "empty_history", "fewer_than_k", "retrieval_order_kept")
