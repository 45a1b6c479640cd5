"""A world of ads as they are: what happens has the probabilities that its truth says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel.data.dataset import Dataset
from funnel.data.readers.synthetic import read_world
from funnel.evaluation.ideal import best_by_truth
from funnel.evaluation.walk import discounted
from funnel.synthetic import AdsConfig, AdsTruth, LatentTruth, SyntheticConfig, config_of, write_world
from funnel.types import Ragged, Requests

WORLD = SyntheticConfig(
    users=400, items=800, events_per_user=40, noise=0, ads=AdsConfig(purchases=0.2, context=1.5)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(WORLD, tmp_path_factory.mktemp("worlds") / "ads")


@pytest.fixture(scope="module")
def world(folder: Path) -> Dataset:
    return read_world(folder)


@pytest.fixture(scope="module")
def truth(world: Dataset) -> LatentTruth:
    assert isinstance(world.truth, LatentTruth)
    return world.truth


@pytest.fixture(scope="module")
def ads(truth: LatentTruth) -> AdsTruth:
    assert truth.ads is not None
    return truth.ads


def as_often(happened: pd.Series, chance: np.ndarray) -> bool:
    """Whether what happened is within five standard deviations of its probabilities' sum."""
    return abs(happened.sum() - chance.sum()) < 5 * np.sqrt((chance * (1 - chance)).sum())


def requests(users: np.ndarray, times: np.ndarray) -> Requests:
    n = len(users)
    return Requests(users.astype(np.int32), times, Ragged.empty(n), Ragged.empty(n, np.int64))


def test_what_is_known_of_a_moment_is_in_the_log(world: Dataset, ads: AdsTruth) -> None:
    assert [column.name for column in world.schema.context] == ["placement", "device"]
    assert world.impressions is not None
    for rows in (world.events, world.impressions):
        at = ads.moment(rows["user_id"].to_numpy(), rows["time"].to_numpy())
        assert (rows["placement"].astype(str) == [f"placement-{code}" for code in at.placement]).all()
        assert (rows["device"].astype(str) == np.array(["phone", "desktop", "tablet"])[at.device]).all()
    assert world.impressions["placement"].value_counts(normalize=True).between(0.2, 0.3).all()


def test_a_click_has_the_probability_that_its_moment_says(
    world: Dataset, truth: LatentTruth, ads: AdsTruth
) -> None:
    rows = world.impressions
    assert rows is not None
    users, items, times = (rows[name].to_numpy() for name in ("user_id", "item_id", "time"))
    logit = truth.logits(users, items[:, None], times)[:, 0]
    chance = truth.examination[rows["position"]] / (1 + np.exp(-logit.astype(float)))
    groups = [ads.moment(users, times).placement, pd.qcut(logit, 8, labels=False), rows["position"]]
    for group in groups:
        for _, some in rows.groupby(np.asarray(group)):
            assert as_often(some["clicked"], chance[some.index])
    blind = np.einsum("rd,rd->r", truth.users[users], truth.items[items]) + truth.bias[items]
    assert np.std(logit - blind) > 1  # moments matter


def test_a_purchase_follows_a_click_as_often_as_the_truth_says(world: Dataset, ads: AdsTruth) -> None:
    clicks = world.events[world.events["kind"] == "click"]
    bought = world.events[world.events["kind"] == "purchase"]
    pairs = clicks.merge(bought, on=["user_id", "item_id"], suffixes=("", "_bought"))
    assert len(pairs.drop_duplicates(["user_id", "item_id", "time_bought"])) == len(bought)
    chance = ads.bought(clicks["user_id"].to_numpy(), clicks["item_id"].to_numpy())
    assert as_often(pd.Series(np.ones(len(bought))), chance)
    high = chance > np.median(chance)
    assert chance[high].mean() > 1.5 * chance[~high].mean()
    np.testing.assert_allclose(
        bought["value"], 0.3 * world.items["margin"].to_numpy()[bought["item_id"]], rtol=1e-5
    )
    np.testing.assert_allclose(clicks["value"], ads.bid[clicks["item_id"]], rtol=1e-5)


def test_a_campaign_has_one_budget_and_ads_bid(world: Dataset) -> None:
    items = world.items
    assert items.groupby("campaign")["budget"].nunique().max() == 1
    assert (items[["bid", "margin", "budget"]] > 0).all(axis=None)
    assert (items["spent"] == 0).all()


def test_no_list_is_worth_more_than_the_ideal(truth: LatentTruth) -> None:
    rng = np.random.default_rng(0)
    users, times = rng.integers(400, size=50), rng.integers(1_735_689_600, 1_740_000_000, size=50)
    values, chance = truth.values(users, times), 1 / (1 + np.exp(-truth.scores(users, times)))
    assert values is not None
    assert ((chance > 0) & (chance < 1)).all()
    for gains in (values, chance.astype(np.float32)):
        best = best_by_truth(lambda _, of=gains: of, 800, 10)(requests(users, times)).items  # type: ignore[misc]
        most = discounted(gains, best)
        for _ in range(20):
            lists = np.stack([rng.permutation(800)[:10] for _ in users]).astype(np.int32)
            assert (discounted(gains, lists) <= most + 1e-5).all()
        assert (discounted(gains, best[:, ::-1].copy()) <= most + 1e-5).all()


def test_what_an_ad_is_worth_is_its_bid_and_what_its_purchases_bring(
    truth: LatentTruth, ads: AdsTruth, world: Dataset
) -> None:
    users, times = np.array([3, 77]), np.array([1_736_000_000, 1_737_000_000])
    values = truth.values(users, times)
    assert values is not None
    for b, user in enumerate(users.tolist()):
        for item in (0, 5, 799):
            click = 1 / (1 + np.exp(-truth.scores(users, times)[b, item]))
            buy = 1 / (1 + np.exp(-(ads.buy[item] + ads.buyers[user])))
            margin = world.items["margin"][item]
            assert values[b, item] == pytest.approx(click * (ads.bid[item] + 0.3 * buy * margin), rel=1e-4)


def test_the_same_seed_makes_the_same_world_and_another_another(folder: Path, tmp_path: Path) -> None:
    again = write_world(WORLD, tmp_path / "again")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path.name
    other = read_world(write_world(WORLD.model_copy(update={"seed": 1}), tmp_path / "other"))
    assert len(other.events) != len(read_world(folder).events)
    assert config_of(again) == WORLD


def test_without_ads_nothing_of_it_is_there(tmp_path: Path) -> None:
    plain = WORLD.model_copy(update={"ads": None, "users": 50})
    world = read_world(write_world(plain, tmp_path / "plain"))
    assert "kind" not in world.events
    assert not {"bid", "margin", "budget"} & set(world.items)
    assert world.schema.context == ()
    assert "ads" not in (tmp_path / "plain" / "world.json").read_text()
    assert world.truth is not None
    assert world.truth.values(np.array([0]), np.array([0])) is None
