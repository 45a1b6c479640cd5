"""The made-up world of ads: its clicks come from its truth, and it is made without holding it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from funnel import synthetic
from funnel.data.dataset import Dataset
from funnel.data.files import Description
from funnel.data.readers import DataConfig, read
from funnel.data.readers.synthetic import read_world
from funnel.errors import DataError
from funnel.synthetic import LatentTruth, SyntheticConfig, config_of, write_world
from funnel.synthetic.lists import Shelf

SMALL = SyntheticConfig(users=400, items=3000, events_per_user=20, noise=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(SMALL, tmp_path_factory.mktemp("worlds") / "small")


@pytest.fixture(scope="module")
def world(folder: Path) -> Dataset:
    return read_world(folder)


@pytest.fixture(scope="module")
def shown(world: Dataset, folder: Path) -> pd.DataFrame:
    """Impressions with the true logit, and how far their place is looked at."""
    assert world.impressions is not None
    assert isinstance(world.truth, LatentTruth)
    logits = world.truth.scores(np.arange(len(world.users)))
    rows = world.impressions
    return rows.assign(
        logit=logits[rows["user_id"], rows["item_id"]],
        looked=world.truth.examination[rows["position"]],
    )


def test_the_tables_are_whole(world: Dataset, folder: Path) -> None:
    assert world.user_ids.tolist() == list(range(SMALL.users))
    assert world.item_ids.tolist() == list(range(SMALL.items))
    assert world.clock == "time"
    assert world.notes == ()
    assert world.items[["category", "campaign", "advertiser", "price"]].notna().all(axis=None)
    assert world.users[["segment", "country", "age"]].notna().all(axis=None)
    assert world.items.groupby("campaign")[["category", "advertiser"]].nunique().max(axis=None) == 1
    assert config_of(folder) == SMALL
    assert len(list((folder / "impressions").iterdir())) == SMALL.days


def test_its_schema_is_what_a_folder_of_data_says_of_itself(folder: Path) -> None:
    text = (folder / "schema.json").read_text()
    read = Description.model_validate_json(text)
    assert text == read.model_dump_json(indent=2, exclude_none=True) + "\n"
    assert read.schema_only() == read_world(folder).schema


def test_there_are_about_as_many_clicks_as_configured(world: Dataset) -> None:
    assert len(world.events) / SMALL.users == pytest.approx(SMALL.events_per_user, rel=0.1)
    days = (world.events["time"] - world.events["time"].min()) // 86_400
    assert days.nunique() == SMALL.days


def test_clicks_are_the_clicked_impressions(world: Dataset, shown: pd.DataFrame) -> None:
    clicked = shown[shown["clicked"]]
    keys = ["user_id", "item_id", "time"]
    made = clicked.assign(time=clicked["time"] + 1 + clicked["position"])[keys]
    pd.testing.assert_frame_equal(
        made.sort_values(keys, ignore_index=True),
        world.events[keys].sort_values(keys, ignore_index=True),
    )
    assert not shown.duplicated(["request_id", "item_id"]).any()
    per_list = shown.groupby("request_id")["position"]
    assert (per_list.max() + 1 == per_list.size()).all()  # no gap in a list


def test_a_click_has_the_probability_that_the_truth_says(shown: pd.DataFrame) -> None:
    chance = shown["looked"] / (1 + np.exp(-shown["logit"]))
    for group in (shown["position"], pd.qcut(shown["logit"], 10, labels=False)):
        for _, rows in shown.groupby(group):
            expected = chance[rows.index]
            spread = np.sqrt((expected * (1 - expected)).sum())
            assert abs(rows["clicked"].sum() - expected.sum()) < 5 * spread


def test_scores_are_the_products_of_the_factors(world: Dataset) -> None:
    truth = world.truth
    assert isinstance(truth, LatentTruth)
    users = np.array([3, 0, 399], dtype=np.int32)
    scores = truth.scores(users)
    assert scores.shape == (3, SMALL.items)
    assert scores.dtype == np.float32
    slow = [[float(truth.users[u] @ truth.items[i] + truth.bias[i]) for i in range(50)] for u in users]
    np.testing.assert_allclose(scores[:, :50], slow, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(truth.examination, np.arange(1, 11) ** -0.7, rtol=1e-6)


def test_taste_can_be_learned_from_past_clicks_and_from_the_segment(world: Dataset) -> None:
    """The categories of a user's first clicks, or of others in the segment, tell what the user likes."""
    category = world.items["category"].astype("category").cat.codes.to_numpy()
    log = world.log
    truth = world.truth
    assert truth is not None
    scores = truth.scores(np.arange(log.n_users))
    liking = np.stack([scores[:, category == c].mean(axis=1) for c in range(category.max() + 1)], axis=1)
    counts = np.zeros_like(liking)
    half = len(log) // 2
    np.add.at(counts, (log.users[:half], category[log.items[:half]]), 1)
    seen = counts.sum(axis=1) > 5
    best = liking[np.arange(log.n_users), counts.argmax(axis=1)]
    assert (best - liking.mean(axis=1))[seen].mean() > 1
    by_segment = pd.DataFrame(liking).groupby(world.users["segment"]).transform("mean").to_numpy()
    from_segment = liking[np.arange(log.n_users), by_segment.argmax(axis=1)]
    assert 0.3 < (from_segment - liking.mean(axis=1)).mean() < (best - liking.mean(axis=1))[seen].mean()


def test_better_ads_are_shown_more_but_not_only_they(world: Dataset) -> None:
    truth = world.truth
    assert isinstance(truth, LatentTruth)
    counts = np.bincount(world.log.items, minlength=SMALL.items)
    correlation = np.corrcoef(np.log1p(counts), truth.bias)[0, 1]
    assert 0.2 < correlation < 0.95


def test_some_ads_come_late(world: Dataset) -> None:
    assert world.impressions is not None
    moment = world.impressions["time"].quantile(0.9)
    rows = world.impressions
    new = set(rows["item_id"]) - set(rows.loc[rows["time"] < moment, "item_id"])
    campaigns = world.items["campaign"].to_numpy()
    first = rows.groupby(campaigns[rows["item_id"]])["time"].min()
    assert len(new) > 20
    assert ((first - rows["time"].min()) > 5 * 86_400).mean() == pytest.approx(SMALL.late, abs=0.15)


def test_the_shelf_draws_what_has_started_by_exposure() -> None:
    """Against the definition: among ads of the category that have started, by the exponential of exposure."""
    rng = np.random.default_rng(0)
    category = rng.integers(3, size=40).astype(np.int32)
    start = np.where(rng.random(40) < 0.5, 0, rng.integers(1, 1000, size=40))
    exposure = rng.normal(size=40).astype(np.float32)
    shelf = Shelf.of(category, start, exposure)
    for wanted, time in ((0, 0), (1, 500), (2, 2000)):
        drawn = shelf.draw(rng, np.full(20_000, wanted), np.full(20_000, time))
        weight = np.where((category == wanted) & (start <= time), np.exp(exposure), 0)
        share = np.bincount(drawn, minlength=40) / len(drawn)
        np.testing.assert_allclose(share, weight / weight.sum(), atol=0.015)
        assert (share[weight == 0] == 0).all()


def test_the_same_config_gives_the_same_world(tmp_path: Path) -> None:
    config = SyntheticConfig(users=50, items=200, events_per_user=5, days=5)
    one, again = (read_world(write_world(config, tmp_path / name)) for name in ("one", "again"))
    other = read_world(write_world(config.model_copy(update={"seed": 1}), tmp_path / "other"))
    assert one.checksum() == again.checksum() != other.checksum()
    assert one.truth is not None
    assert again.truth is not None
    rows = np.arange(50)
    np.testing.assert_array_equal(one.truth.scores(rows), again.truth.scores(rows))


@pytest.mark.parametrize(
    "options",
    [
        {"users": 1, "items": 1, "events_per_user": 3, "days": 2},
        {"users": 3, "items": 2, "dim": 1, "slots": 1, "days": 1},
        {"users": 5, "items": 30, "late": 1, "position_bias": 0},
    ],
)
def test_tiny_worlds(tmp_path: Path, options: dict[str, float]) -> None:
    config = SyntheticConfig.model_validate(options)
    world = read_world(write_world(config, tmp_path / "tiny"))
    assert len(world.items) == config.items
    assert len(world.events) > 0


def test_the_world_never_lies_in_memory_as_a_whole(tmp_path: Path) -> None:
    config = SyntheticConfig(users=100, items=500_000, dim=64, events_per_user=2, days=2)
    tracemalloc.start()
    try:
        write_world(config, tmp_path / "large")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < config.items * config.dim * 4  # less than the float32 factors of the ads alone
    assert np.load(tmp_path / "large/truth/items.npy", mmap_mode="r").shape == (500_000, 64)


def test_nothing_is_left_of_a_world_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "write_log", fail)
    with pytest.raises(KeyboardInterrupt):
        write_world(SyntheticConfig(users=5, items=20), tmp_path / "world")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_another_is_no_world(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is already there"):
        write_world(SMALL, folder)
    with pytest.raises(DataError, match=r"no world\.json there"):
        read_world(tmp_path)


def test_the_reader_makes_a_world_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNNEL_CACHE", str(tmp_path / "cache"))
    tiny = SyntheticConfig(users=20, items=50, events_per_user=5, days=3)
    in_cache = read(DataConfig(reader="synthetic", synthetic=tiny))
    made = list((tmp_path / "cache").iterdir())
    monkeypatch.setattr("funnel.data.readers.synthetic.write_world", None)  # reading must not write again
    assert read(DataConfig(reader="synthetic", synthetic=tiny)).checksum() == in_cache.checksum()
    assert list((tmp_path / "cache").iterdir()) == made
    assert in_cache.truth is not None
    path = str(made[0])
    assert read(DataConfig(reader="synthetic", path=path)).checksum() == in_cache.checksum()
    with pytest.raises(DataError, match="a world of another config"):
        read(DataConfig(reader="synthetic", path=path, synthetic=SMALL))


@pytest.mark.parametrize("options", [{"users": 0}, {"items": -1}, {"noise": -1}, {"late": 2}, {"ads": 5}])
def test_an_impossible_config_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SyntheticConfig.model_validate(options)
