"""What a purchase is worth, learned from the column `value` of events, in the order of a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import funnel
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.data import Dataset
from funnel.errors import ConfigError
from funnel.pipeline import prepare
from funnel.pipeline.checks import check
from tests.shown_shop import built_shop, plain_shop, shop
from tests.tiny import TinyBuild

#: What a purchase brings, on average, by the colour of what is bought; the bid and margin say nothing of it.
WORTH = {"red": 4.0, "green": 60.0, "blue": 15.0}


def priced() -> Dataset:
    """The shop, whose purchases are worth what their colour says, times a number by chance."""
    data, rng = shop(lists=3500), np.random.default_rng(5)
    colour = data.events["item_id"].map(dict(zip(data.items["item_id"], data.items["colour"], strict=True)))
    worth = colour.map(WORTH).to_numpy() * rng.gamma(4.0, 0.25, len(colour))
    worth = np.where(data.events["kind"] == "purchase", worth, 0.0)
    return Dataset.from_frames(
        data.schema, data.events.assign(value=worth), data.users, data.items, impressions=data.impressions
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    where = tmp_path_factory.mktemp("worth")
    return built_shop(where, priced(), rank={"value": "p_purchase * v_purchase"})


def test_values_are_right_by_colour_and_order_the_list(made: TinyBuild) -> None:
    live = funnel.Live(made.indexes)
    of: dict[str, list[float]] = {}
    for user in range(30):
        items = live.recommend(f"u{user}", k=20).items
        assert [item.value["expected"] for item in items] == pytest.approx(
            [item.probabilities["purchase"] * item.value["v_purchase"] for item in items]
        )
        expected = [item.value["expected"] for item in items]
        assert expected == sorted(expected, reverse=True)
        for item in items:
            of.setdefault(item.attributes["colour"], []).append(item.value["v_purchase"])
    for colour, values in of.items():
        assert np.mean(values) == pytest.approx(WORTH[colour], rel=0.35), colour


def test_the_report_says_how_the_value_came_about(made: TinyBuild) -> None:
    (note,) = [note for note in made.built.report.notes if note.startswith("v_purchase")]
    assert "trees of its own" in note
    contents = load_contents(Store(made.indexes).path(made.built.version))
    assert set(contents.worth) == {"purchase"}
    assert "value: purchase" in contents.head_trees


def test_what_is_not_read_is_not_learned(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The plain shop's value reads no `v_purchase`."""
    plain = plain_shop(tmp_path_factory)
    contents = load_contents(Store(plain.indexes).path(plain.built.version))
    assert not contents.worth
    assert set(contents.head_trees) == {"click", "purchase"}


def test_a_value_that_is_not_there_is_told_with_the_nearest(made: TinyBuild, tmp_path: Path) -> None:
    store, config = Store(tmp_path), made.config

    def tried(value: str, dataset: Dataset) -> None:
        rank = config.rank.model_copy(update={"value": value})
        check(prepare(config.model_copy(update={"rank": rank}), dataset), store)

    with pytest.raises(ConfigError, match=r"v_purchas.*v_purchase"):
        tried("p_click * v_purchas", made.prepared.dataset)
    data = made.prepared.dataset
    without = replace(data, events=data.events.drop(columns=["value"]))
    with pytest.raises(ConfigError, match="v_purchase"):
        tried("p_click * v_purchase", without)
