"""How often an item is clicked where it is shown and looked at."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import funnel
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.errors import BundleError
from funnel.features import ClickRates
from funnel.features.spec import Spec
from funnel.pipeline.click_rates import click_rates
from tests.shown_shop import plain_shop
from tests.tiny import TinyBuild


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyBuild:
    return plain_shop(tmp_path_factory)


def _rates() -> ClickRates:
    """Three items, the first two of one colour, the last of two."""
    items = np.array([0] * 40 + [1] * 40 + [2] * 20, dtype=np.int32)
    clicked = np.zeros(100, dtype=np.bool_)
    clicked[[*range(12), *range(40, 44)]] = True
    examined = np.where(np.arange(100) % 2 == 0, 1.0, 0.5)
    colours = np.array([[1, 0], [1, 0], [1, 2]], dtype=np.int32)
    return ClickRates.fit(
        items, clicked, examined, {"colour": colours}, {"colour": Spec("multi_category", 4, 2)}, 3
    )


def test_clicks_are_held_against_what_was_looked_at() -> None:
    """Sixteen clicks on 75 impressions that were looked at."""
    rate, rates = 16 / 75, _rates()
    assert rates.items[0] == pytest.approx(math.log((12 + 10) / (30 * rate + 10)))
    assert rates.items[1] == pytest.approx(math.log((4 + 10) / (30 * rate + 10)))
    assert rates.items[2] == pytest.approx(math.log(10 / (15 * rate + 10)))
    assert rates.groups["colour"][1] == pytest.approx(0)  # all there is
    assert rates.groups["colour"][2] == pytest.approx(math.log(10 / (15 * rate + 10)))
    assert rates.groups["colour"][3] == 0  # never shown


def test_empty_positions_have_none_and_new_items_the_mean() -> None:
    rates = _rates()
    found = rates.of_items(np.array([[1, -1, 3]], dtype=np.int32))
    assert found[0, 0] == rates.items[1]
    assert np.isnan(found[0, 1])
    assert found[0, 2] == 0
    values = np.array([[1, 0], [0, 0], [1, 2], [3, 2]], dtype=np.int32)
    of = rates.of_values("colour", values, np.array([[0, 1, 3, -1]], dtype=np.int32))
    assert of[0, 0] == rates.groups["colour"][1]
    assert np.isnan(of[0, 1])  # it has no colour
    assert of[0, 2] == pytest.approx(rates.groups["colour"][2] / 2)
    assert np.isnan(of[0, 3])


def test_a_bundle_of_shown_lists_has_them_as_features(made: TinyBuild) -> None:
    contents = load_contents(Store(made.indexes).path(made.built.version))
    assert contents.click_rates is not None
    columns = [name for name in contents.candidate_features().names if name.startswith("click_rate.")]
    assert columns[0] == "click_rate.item"
    assert "click_rate.colour" in columns
    assert funnel.Live(made.indexes).recommend("u3", k=3).items


def test_what_was_shown_since_a_window_began_changes_none_of_its_rates(made: TinyBuild) -> None:
    own, window = made.prepared, made.prepared.split.ranker
    frame = own.dataset.impressions
    assert frame is not None
    late = frame["time"].to_numpy() >= window.requests.times.min()
    assert 0 < late.sum() < len(frame)
    other = frame.assign(clicked=np.where(late, ~frame["clicked"], frame["clicked"]))
    changed = replace(own, dataset=replace(own.dataset, impressions=other))
    before, after = click_rates(own, window), click_rates(changed, window)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.items, after.items)
    test = click_rates(own, own.split.test)
    assert test is not None
    assert (test.items != before.items).any()


def test_no_impressions_no_rates(made: TinyBuild) -> None:
    own = made.prepared
    assert click_rates(replace(own, dataset=replace(own.dataset, impressions=None)), own.split.test) is None


def test_rates_that_are_damaged_are_told(tmp_path: Path) -> None:
    _rates().save(tmp_path)
    specs = {"colour": Spec("multi_category", 4, 2)}
    loaded = ClickRates.load(tmp_path, 3, specs)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.groups["colour"], _rates().groups["colour"])
    with pytest.raises(BundleError, match=r"click_rates"):
        ClickRates.load(tmp_path, 4, specs)
    with pytest.raises(BundleError, match=r"click_rates\.json"):
        ClickRates.load(tmp_path, 3, {})
    (tmp_path / "click_rates.json").write_text("[")
    with pytest.raises(BundleError, match=r"click_rates\.json"):
        ClickRates.load(tmp_path, 3, specs)
