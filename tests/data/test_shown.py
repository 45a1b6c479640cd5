"""Lists that were shown, as requests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from funnel.data import Column, Dataset, Schema, SplitConfig, split
from funnel.errors import DataError

SCHEMA = Schema(impressions=(Column(name="price", kind="number"),))
CONFIG = SplitConfig(
    protocol="shown", exclude_seen=False, ranker="1970-01-01T00:00:10", test="1970-01-01T00:00:20"
)


def data(*, impressions: bool = True) -> Dataset:
    events = pd.DataFrame(
        [("a", "x", 1), ("b", "y", 2), ("a", "z", 12), ("b", "x", 21), ("a", "y", 22)],
        columns=["user_id", "item_id", "time"],
    )
    shown = pd.DataFrame(
        [
            ("r1", "a", "y", 12, 1, False, 5.0), ("r1", "a", "z", 12, 0, True, None),  # out of order
            ("r2", "b", "x", 21, 0, True, 1.0), ("r2", "b", "z", 21, 1, False, 2.0),
            ("r3", "a", "x", 22, 0, False, 3.0),  # nothing was clicked
            ("r4", "a", "w", 23, 0, False, 3.0), ("r4", "a", "y", 23, 1, True, 4.0),
            ("r5", "c", "x", 24, 0, True, 3.0),  # by somebody who has no event
        ],
        columns=["request_id", "user_id", "item_id", "time", "position", "clicked", "price"],
    )  # fmt: skip
    return Dataset.from_frames(SCHEMA, events, impressions=shown if impressions else None)


def test_each_list_with_a_click_is_a_request() -> None:
    dataset = data()
    test = split(dataset, CONFIG, seed=0).test
    names = dataset.item_ids
    shown = test.requests.shown
    assert shown is not None
    assert dataset.user_ids[test.requests.users].tolist() == ["b", "a", "c"]
    assert test.requests.times.tolist() == [21, 23, 24]
    assert [names[shown.items[i]].tolist() for i in range(3)] == [["x", "z"], ["w", "y"], ["x"]]
    assert [names[test.targets[i]].tolist() for i in range(3)] == [["x"], ["y"], ["x"]]
    assert [names[test.requests.history[i]].tolist() for i in range(3)] == [["y"], ["x", "z", "y"], []]
    assert shown.columns["price"].tolist() == [1, 2, 3, 4, 3]
    assert shown.columns["position"].tolist() == [0, 1, 0, 1, 0]
    assert test.requests.exclude is None


def test_positions_are_in_the_order_shown_and_a_missing_number_is_missing() -> None:
    dataset = data()
    ranker = split(dataset, CONFIG, seed=0).ranker
    shown = ranker.requests.shown
    assert shown is not None
    assert dataset.item_ids[shown.items[0]].tolist() == ["z", "y"]
    np.testing.assert_array_equal(shown.columns["price"], [np.nan, 5])
    assert dataset.item_ids[ranker.requests.history[0]].tolist() == ["x"]


def test_an_item_that_a_list_shows_twice_stands_there_once() -> None:
    once = data()
    assert once.impressions is not None
    again = once.impressions[once.impressions["request_id"] == "r4"].assign(
        position=[2, 3], clicked=[True, False]
    )
    twice = Dataset.from_frames(SCHEMA, once.events, impressions=pd.concat([once.impressions, again]))
    test = split(twice, CONFIG, seed=0).test
    shown = test.requests.shown
    assert shown is not None
    assert twice.item_ids[shown.items[1]].tolist() == ["w", "y"]
    assert twice.item_ids[test.targets[1]].tolist() == ["w", "y"]
    assert shown.columns["position"].tolist() == [0, 1, 0, 1, 0]


def test_taking_requests_takes_their_lists() -> None:
    test = split(data(), CONFIG, seed=0).test
    shown = test.take(np.array([2, 1])).requests.shown
    assert shown is not None
    assert shown.items.lengths.tolist() == [1, 2]
    assert shown.columns["price"].tolist() == [3, 3, 4]


def test_without_such_lists_the_protocol_is_refused() -> None:
    with pytest.raises(DataError, match="no impressions"):
        split(data(impressions=False), CONFIG, seed=0)
    with pytest.raises(ValidationError, match="exclude_seen must be false"):
        SplitConfig(protocol="shown")
