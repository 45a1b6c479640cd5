"""Lists that were shown, as requests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from funnel.data import Column, Dataset, LoggedLists, Schema, SplitConfig, logged_lists, split
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
    assert test.requests.times.tolist() == [21, 22, 24]  # the click of r4 was logged a second before it
    assert [names[shown.items[i]].tolist() for i in range(3)] == [["x", "z"], ["w", "y"], ["x"]]
    assert [names[test.targets[i]].tolist() for i in range(3)] == [["x"], ["y"], ["x"]]
    assert [names[test.requests.history[i]].tolist() for i in range(3)] == [["y"], ["x", "z"], []]
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


LOGGED = SplitConfig(ranker="1970-01-01T00:00:10", test="1970-01-01T00:00:20", exclude_seen=False)


def logged(dataset: Dataset, *, most: int = 100, config: SplitConfig = LOGGED) -> LoggedLists:
    lists = logged_lists(dataset, config, "test", most, seed=0)
    assert lists is not None
    return lists


def test_logged_lists_are_those_without_a_click_too() -> None:
    dataset = data()
    lists = logged(dataset)
    requests, shown = lists.examples.requests, lists.examples.requests.shown
    assert shown is not None
    assert [dataset.item_ids[shown.items[i]].tolist() for i in range(4)] == [
        ["x", "z"],
        ["x"],
        ["w", "y"],
        ["x"],
    ]
    assert lists.examples.targets.lengths.tolist() == [1, 0, 1, 1]
    assert lists.weights.tolist() == [1, 1, 1, 1]
    assert requests.exclude is None


def test_of_many_lists_some_are_drawn_and_stand_for_all() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    shown = pd.DataFrame(
        {"request_id": np.arange(n), "user_id": "a", "item_id": rng.choice(["x", "y", "z"], n), "time": 5000}
        | {"position": 0, "clicked": rng.random(n) < 0.1}
    )
    events = data().events.drop(columns="time").assign(time=[1, 2, 12, 21, 22])
    dataset = Dataset.from_frames(Schema(), events, impressions=shown)
    lists = logged(dataset, most=200)
    clicked = lists.examples.targets.lengths > 0
    assert (clicked.sum(), (~clicked).sum()) == (200, 200)
    assert lists.weights[clicked].sum() == pytest.approx(shown["clicked"].sum())
    assert lists.weights[~clicked].sum() == pytest.approx((~shown["clicked"]).sum())


def test_what_is_excluded_is_known_to_the_list() -> None:
    config = SplitConfig(ranker="1970-01-01T00:00:10", test="1970-01-01T00:00:20")
    lists = logged(data(), config=config)
    exclude = lists.examples.requests.exclude
    assert exclude is not None
    assert data().item_ids[exclude[0]].tolist() == ["y"]


@pytest.mark.parametrize(
    ("clicks", "history"),
    [
        ([100], ["x"]),  # as it should be: at the list's time or after
        ([130], ["x"]),
        ([97], ["x"]),  # the click was logged first: it is what the list is asked for, and not known yet
        ([97, 130], ["x", "y"]),  # the later one is the list's, and what was before it is known
        ([100 - 301], ["y", "x"]),  # too far apart to be one
    ],
)
def test_a_click_is_never_in_the_history_of_its_own_list(clicks: list[int], history: list[str]) -> None:
    events = pd.DataFrame(
        [("a", "x", 60 - 301), *(("a", "y", time) for time in clicks), ("b", "z", -1000), ("b", "z", 5000)],
        columns=["user_id", "item_id", "time"],
    )
    events["time"] += 1000
    if clicks[0] < 0:
        events.loc[0, "time"] = 1000 + clicks[0] + 1
    shown = pd.DataFrame(
        [("r", "a", "y", 1100, 0, True), ("r", "a", "w", 1100, 1, False)],
        columns=["request_id", "user_id", "item_id", "time", "position", "clicked"],
    )
    dataset = Dataset.from_frames(Schema(), events, impressions=shown)
    config = SplitConfig(ranker="1970-01-01T00:00:01", test="1970-01-01T00:16:50", exclude_seen=False)
    (known,) = [logged(dataset, config=config).examples.requests.history[0]]
    assert dataset.item_ids[known].tolist() == history


def test_a_click_of_another_user_is_not_the_lists() -> None:
    """The list says that its item was clicked, and the log has that event of somebody else just before."""
    events = pd.DataFrame(
        [("a", "x", 5), ("b", "y", 24), ("b", "x", 15), ("a", "z", 22)],
        columns=["user_id", "item_id", "time"],
    )
    shown = pd.DataFrame(
        [("r", "a", "y", 25, 0, True)],
        columns=["request_id", "user_id", "item_id", "time", "position", "clicked"],
    )
    lists = logged(Dataset.from_frames(Schema(), events, impressions=shown))
    assert lists.examples.requests.times.tolist() == [25]
    assert lists.examples.targets.lengths.tolist() == [1]


def test_no_logged_lists_where_there_is_no_window_of_them() -> None:
    assert logged_lists(data(impressions=False), LOGGED, "ranker", 10, 0) is None
    assert logged_lists(data(), SplitConfig(kind="leave_one_out"), "ranker", 10, 0) is None


def test_what_happens_from_the_test_window_on_changes_no_list_of_the_rankers() -> None:
    """Neither what came of a list, nor its time where its click was logged before it."""
    day, test = 86_400, 3 * 86_400
    first = [("a", "y", 0, "click"), ("a", "x", day, "click"), ("a", "x", test - 90, "click")]
    first += [("a", "y", test - 50, "purchase")]
    shown = pd.DataFrame(
        [("r1", "a", "x", test - 80, 0, True), ("r1", "a", "y", test - 80, 1, False)],
        columns=["request_id", "user_id", "item_id", "time", "position", "clicked"],
    )
    for kind in ("click", "purchase"):
        later = [("a", "x", test + 10, kind), ("a", "y", test + 10, kind), ("a", "x", test + day, kind)]
        events = pd.DataFrame([*first, *later], columns=["user_id", "item_id", "time", "kind"])
        dataset = Dataset.from_frames(Schema(), events, impressions=shown)
        config = SplitConfig(ranker="1970-01-02", test="1970-01-04", exclude_seen=False)
        lists = logged_lists(dataset, config, "ranker", 10, 0)
        assert lists is not None
        assert lists.examples.requests.shown is not None
        assert lists.examples.requests.times.tolist() == [test - 90]
        columns = lists.examples.requests.shown.columns
        assert columns["outcome.click"].tolist() == [1, 0]
        assert columns["outcome.purchase"].tolist() == [0, 1]


def test_a_purchase_comes_of_the_last_list_that_showed_the_item_a_day_before_at_most() -> None:
    """Beside a search through all lists for each purchase."""
    rng = np.random.default_rng(4)
    users, items = ["a", "b", "c"], ["w", "x", "y", "z"]
    n, day = 400, 86_400
    bought = pd.DataFrame({"user_id": rng.choice(users, n), "item_id": rng.choice(items, n)})
    bought = bought.assign(time=rng.integers(0, 30 * day, n), kind=rng.choice(["click", "purchase"], n))
    shown = []
    for number in range(300):
        user, time = str(rng.choice(users)), int(rng.integers(0, 30 * day))
        for position, item in enumerate(rng.choice(items, 2, replace=False)):
            shown.append((f"r{number}", user, str(item), time, position, bool(rng.random() < 0.3)))
    columns = ["request_id", "user_id", "item_id", "time", "position", "clicked"]
    frame = pd.DataFrame(shown, columns=columns)
    dataset = Dataset.from_frames(Schema(), bought, impressions=frame)
    config = SplitConfig(ranker=0.2, test=0.6, exclude_seen=False)
    lists = logged_lists(dataset, config, "ranker", 1000, 0)
    assert lists is not None
    requests = lists.examples.requests
    assert requests.shown is not None
    starts, ends = (int(dataset.log.times[int(share * n)]) for share in (0.2, 0.6))
    expected = set()
    purchases = bought[(bought["kind"] == "purchase") & (bought["time"] < ends)]
    for user, item, time in zip(purchases["user_id"], purchases["item_id"], purchases["time"], strict=True):
        before = frame[(frame["user_id"] == user) & (frame["item_id"] == item) & (frame["time"] <= time)]
        if len(before):
            last = before.loc[before["time"].idxmax()]
            if time - last["time"] <= day:
                expected.add((user, item, int(last["time"])))
    found, seen = set(), 0
    for row in range(len(lists)):
        user, time = dataset.user_ids[requests.users[row]], int(requests.times[row])
        entries = slice(requests.shown.items.offsets[row], requests.shown.items.offsets[row + 1])
        for item, came in zip(
            requests.shown.items[row], requests.shown.columns["outcome.purchase"][entries], strict=True
        ):
            seen += 1
            if came:
                found.add((str(user), str(dataset.item_ids[item]), time))
    moved = found - expected  # lists whose own click was logged before them are as old as that click
    twins = {key for key in expected if any(key[:2] == to[:2] and abs(key[2] - to[2]) <= 300 for to in moved)}
    assert len(twins) >= len(moved)
    inside = {key for key in expected if starts <= key[2] < ends}
    assert len(inside) > 30
    assert inside - found <= twins
    assert seen == (frame["time"].between(starts, ends, inclusive="left")).sum()
