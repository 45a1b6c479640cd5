"""What goes wrong at night is stopped by name, and what was served goes on."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError, DataError, GateError
from funnel.gates import GatesConfig, Verdict, judge, publish
from funnel.pipeline.train import served
from tests.conftest import ROOT
from tests.tiny import GENRES, TinyBuild

Rebuild = Callable[..., str]


def listing(store: Store) -> dict[str, int]:
    return {str(path.relative_to(store.folder)): path.stat().st_mtime_ns for path in store.folder.rglob("*")}


def refused(store: Store, version: str, config: GatesConfig | None = None) -> Verdict:
    """The verdict on a bundle that must not be published: nothing at all may have changed."""
    before, served = listing(store), store.current()
    with pytest.raises(GateError) as caught:
        publish(store, version, config=config)
    assert listing(store) == before
    assert store.current() == served
    verdict: Verdict = caught.value.verdict
    for one in verdict.failed:
        assert one.gate in str(caught.value)
        assert one.sentence in str(caught.value)
    return verdict


def copy(built: TinyBuild, folder: Path) -> Path:
    shutil.copytree(str(built.config.data.path), folder)
    return folder


def ratings_before_the_test(built: TinyBuild, data: Path) -> tuple[pd.DataFrame, pd.Series]:
    ratings = pd.read_csv(data / "ratings.csv")
    return ratings, ratings["timestamp"] < built.prepared.split.test.requests.times.min()


def dates(built: TinyBuild) -> dict[str, object]:
    """The windows' starts as dates: they stay where they are when events go."""
    split = built.prepared.split
    starts = {"ranker": split.ranker.requests.times.min(), "test": split.test.requests.times.min()}
    moments = {name: pd.Timestamp(int(at), unit="s").isoformat() for name, at in starts.items()}
    return built.config.split.model_dump() | moments


def test_a_sound_bundle_passes_beside_another(store: Store, second: str) -> None:
    first, version = store.current(), second
    assert version != first
    verdict = publish(store, version)
    assert verdict.passed
    assert (verdict.served, verdict.beside) == (first, first)
    assert store.current() == version
    gates = {one.gate for one in verdict.findings}
    assert gates == {
        "schema", "rows", "gaps", "baselines", "finite", "norms", "collapse", "dimensions", "search",
        "stages", "slices", "monitor", "popularity", "reach",
        "concentration", "calibration", "parity", "latency",
    }  # fmt: skip
    documented = re.findall(r"^\| (\w+) \|", (ROOT / "docs" / "nightly.md").read_text(), re.MULTILINE)
    assert {*gates, "reference", "anchor"} <= set(documented)
    last = store.publications()[-1]
    assert not last.forced
    assert {one["gate"] for one in last.gates} == gates


def test_shuffled_labels_are_stopped_by_the_stages(
    store: Store, rebuild: Rebuild, built: TinyBuild, tmp_path: Path
) -> None:
    data = copy(built, tmp_path / "data")
    ratings, before = ratings_before_the_test(built, data)
    rng = np.random.default_rng(0)
    ratings.loc[before, "movieId"] = rng.permutation(ratings.loc[before, "movieId"])
    ratings.drop_duplicates(["userId", "movieId"]).to_csv(data / "ratings.csv", index=False)
    version = rebuild(data, split=dates(built))
    verdict = refused(store, version)
    assert "stages" in verdict.failed_gates
    assert any("retrieve, ndcg@10 on its holdout" in one.sentence for one in verdict.failed)


def test_labels_that_are_shuffled_throughout_are_stopped_by_the_published_holdout(
    store: Store, rebuild: Rebuild, built: TinyBuild, tmp_path: Path
) -> None:
    """On its own holdout nobody could be good: that says nothing."""
    data = copy(built, tmp_path / "data")
    ratings = pd.read_csv(data / "ratings.csv")
    ratings["movieId"] = np.random.default_rng(0).permutation(ratings["movieId"])
    ratings.drop_duplicates(["userId", "movieId"]).to_csv(data / "ratings.csv", index=False)
    verdict = refused(store, rebuild(data, split=dates(built)))
    assert any("on the published holdout" in one.sentence for one in verdict.failed if one.gate == "stages")


@pytest.mark.parametrize(("spoil", "gate"), [("alike", "collapse"), ("flat", "dimensions")])
def test_a_collapsed_tower_is_stopped(
    store: Store, rebuild: Rebuild, built: TinyBuild, towers: Path, tmp_path: Path, spoil: str, gate: str
) -> None:
    collapsed = tmp_path / "collapsed"
    shutil.copytree(towers, collapsed)
    path = served(collapsed) / "item_vectors.npy"
    vectors = np.load(path)
    if spoil == "alike":
        vectors = vectors[:1] + 0.01 * vectors
    else:
        vectors[:, 4:] = 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(path, vectors.astype(np.float32))
    verdict = refused(store, rebuild(built.config.data.path, collapsed))
    assert gate in verdict.failed_gates


def test_a_truncated_item_file_is_stopped(
    store: Store, rebuild: Rebuild, built: TinyBuild, towers: Path, tmp_path: Path
) -> None:
    """What is wrong with the tables shows, whatever the towers."""
    data = copy(built, tmp_path / "data")
    lines = (data / "movies.csv").read_text().splitlines(keepends=True)
    (data / "movies.csv").write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(DataError, match=r"check `gaps`: items\.(title|genres) without a value, 0\.0% to "):
        rebuild(data, towers)


def test_an_item_file_without_half_of_the_items_is_stopped(
    store: Store, rebuild: Rebuild, built: TinyBuild, towers: Path, tmp_path: Path
) -> None:
    data = copy(built, tmp_path / "data")
    for name in ("movies.csv", "ratings.csv"):
        table = pd.read_csv(data / name)
        table[table["movieId"] <= 100].to_csv(data / name, index=False)
    with pytest.raises(DataError, match="check `rows`: change of items, 200 to "):
        rebuild(data, towers)


def test_a_model_that_breaks_a_slice_is_stopped_and_the_slice_named(
    store: Store, rebuild: Rebuild, built: TinyBuild, tmp_path: Path
) -> None:
    """It never saw anyone take a comedy."""
    data = copy(built, tmp_path / "data")
    ratings, before = ratings_before_the_test(built, data)
    movies = pd.read_csv(data / "movies.csv")
    comedies = movies.loc[movies["genres"].str.contains(GENRES[0]), "movieId"]
    ratings[~(before & ratings["movieId"].isin(comedies))].to_csv(data / "ratings.csv", index=False)
    version = rebuild(
        data, split=dates(built), ranker={"trees": 50, "leaves": 15, "lists": 800, "objective": "rank_xendcg"}
    )
    verdict = refused(store, version)
    assert "slices" in verdict.failed_gates
    assert any(one.sentence.startswith("items.genres = Comedy") for one in verdict.failed)


def test_every_threshold_of_the_config_is_a_gate(store: Store, built: TinyBuild) -> None:
    """Each gate fails when its threshold cannot be kept to."""
    impossible: dict[str, dict[str, float]] = {
        "collapse": {"similarity": -1.0},
        "concentration": {"concentration": 0.0},
        "latency": {"latency_ms": 1e-9},
    }
    for gate, threshold in impossible.items():
        config = GatesConfig.model_validate({"latency_ms": 10_000.0} | threshold)
        assert judge(store, built.built.version, config).failed_gates == (gate,)


def test_a_forced_publication_is_on_record(store: Store, second: str) -> None:
    too_tight = GatesConfig(latency_ms=1e-9)
    assert refused(store, second, too_tight).failed_gates == ("latency",)
    publish(store, second, config=too_tight, force=True)
    assert store.current() == second
    last = store.publications()[-1]
    assert last.forced
    assert [one["gate"] for one in last.gates if not one["passed"]] == ["latency"]
    assert Live(store.folder).version == second
    store.verify(second)


def test_what_was_published_while_a_bundle_was_judged(
    store: Store, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writing("other") as other:
        (other.folder / "serve.json").write_text("{}")

    def slowly(*arguments: object) -> Verdict:
        verdict = judge(*arguments)  # type: ignore[arg-type]
        store.publish(other.version)
        return verdict

    monkeypatch.setattr(importlib.import_module("funnel.gates.publish"), "judge", slowly)
    with pytest.raises(BundleError, match=f"{other.version} is published now"):
        publish(store, second)
    assert store.current() == other.version


def test_a_damaged_bundle_or_one_without_holdout_is_not_judged(store: Store) -> None:
    version = store.current()
    with store.writing("bare") as draft:
        (draft.folder / "serve.json").write_text("{}")
    with pytest.raises(BundleError):
        publish(store, draft.version)
    (store.path(version) / "serve.json").write_text("{}")
    with pytest.raises(BundleError, match=r"serve\.json was changed"):
        judge(store, version)
