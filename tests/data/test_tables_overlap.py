"""Tables that are about the same users, items and lists, or are refused; and times that stand out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.data import Column, Dataset, Schema, SplitConfig, split
from funnel.data.attribution import EARLY
from funnel.errors import DataError

T = 1_700_000_000
DAY = 86_400
NAMES = ["request_id", "user_id", "item_id", "time", "position", "clicked"]


def events(n: int = 40) -> pd.DataFrame:
    return pd.DataFrame({"user_id": range(n), "item_id": range(300, 300 + n), "time": range(T, T + n)})


def of(table: str, ids: list[Any], **more: Any) -> Dataset:
    schema = Schema(**{table: (Column(name="age", kind="number"),)})
    frame = pd.DataFrame({f"{table[:-1]}_id": pd.Series(ids), "age": 1.0})
    return Dataset.from_frames(schema, events(), **{table: frame}, **more)


@pytest.mark.parametrize("table", ["users", "items"])
def test_a_join_that_fails_nearly_whole_is_refused(table: str) -> None:
    own = list(range(40)) if table == "users" else list(range(300, 340))
    for ids, met in (([f"{table}-{one}" for one in own], 0), ([*own[:3], *range(1000, 1037)], 3)):
        with pytest.raises(
            DataError, match=rf"{table} has a row for only {met} of the 40 {table} that events name"
        ):
            of(table, ids)
    found = of(table, own[:4])
    assert f"{table}: 36 of 40 that events name added, without features" in found.notes
    assert of(table, []).notes == of(table, own[:0]).notes  # a table without rows says nothing of ids


def shown(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NAMES)


def test_impressions_of_nobody_that_events_know_are_refused() -> None:
    for user, item, key in ((7, 999, "item_id"), (999, 307, "user_id")):
        with pytest.raises(DataError, match=rf"impressions.{key} has none of the ids in events.{key} \(999"):
            Dataset.from_frames(Schema(), events(), impressions=shown(("r", user, item, T, 0, True)))


def test_a_list_of_two_users_is_refused_by_its_rows() -> None:
    rows = [(request, user, 300, T, 0, True) for user in (1, 2) for request in ("a", f"b{user}")]
    with pytest.raises(DataError, match=r"request_id 'a' is of user 1 in row 0 and of user 2 in row 2"):
        Dataset.from_frames(Schema(), events(), impressions=shown(*rows))


def test_a_list_that_comes_again_on_another_day_is_refused() -> None:
    rows = [("a", 1, 300, T + 2 * DAY, 0, True), ("a", 1, 301, T, 0, False)]
    with pytest.raises(
        DataError, match=r"request_id 'a' of user 1 has rows at 2023-11-14.* and at 2023-11-16"
    ):
        Dataset.from_frames(Schema(), events(), impressions=shown(*rows))


LISTS = st.lists(
    st.tuples(
        st.integers(0, 3), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=12,
)
CLICKS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 120)), min_size=6, max_size=40
)


@settings(deadline=None, max_examples=30)
@given(CLICKS, LISTS, st.lists(st.integers(0, 100), min_size=12, max_size=12))
def test_a_history_ends_before_the_second_in_which_its_list_or_event_began(
    clicks: list[tuple[int, int, int]], lists: list[tuple[int, list[tuple[int, int]]]], starts: list[int]
) -> None:
    """Rows of a list that came into view later, ties, and what was logged twice add nothing to it."""
    log = pd.DataFrame([*clicks, (0, 0, 0), (0, 0, 50), (0, 0, 119)], columns=["user_id", "item_id", "time"])
    rows = [
        (f"r{number}", user, item, starts[number] + later, place, True)
        for number, (user, views) in enumerate(lists)
        for place, (item, later) in enumerate(views)
    ]
    rows += [("first", 0, 0, 45, 0, True), ("last", 0, 0, 118, 0, True)]
    dataset = Dataset.from_frames(Schema(), log, impressions=shown(*rows))
    began = {
        (user, min(time for name, _, _, time, _, _ in rows if name == request)) for request, user, *_ in rows
    }
    # A click just before its list moves the list's moment.
    clicked = set(zip(log["user_id"].tolist(), log["time"].tolist(), strict=True))
    for protocol in ("shown", "event"):
        config = SplitConfig(
            protocol=protocol, exclude_seen=False, ranker="1970-01-01T00:00:40", test="1970-01-01T00:01:20"
        )
        parts = split(dataset, config, 0)
        for part in (parts.ranker, parts.test):
            for i in range(len(part)):
                user = dataset.user_ids[part.requests.users[i]]
                time = int(part.requests.times[i])
                expected = log[(log["user_id"] == user) & (log["time"] < time)].drop_duplicates()
                expected = expected.sort_values("time", kind="stable")
                assert dataset.item_ids[part.requests.history[i]].tolist() == expected["item_id"].tolist()
                early = {(user, time + later) for later in range(1, EARLY + 1)} & began
                assert protocol == "event" or (user, time) in began or (early and (user, time) in clicked)


def test_a_time_far_from_all_others_is_named_by_its_row() -> None:
    frame = events(200)
    frame.loc[17, "time"] = T + 180 * 365 * DAY
    (note,) = Dataset.from_frames(Schema(), frame).notes
    assert note.startswith("events.time: 1 of 200 far from all others, the first in row 17 (2203-")
    assert Dataset.from_frames(Schema(), events(200)).notes == ()


def test_an_order_may_be_in_any_unit() -> None:
    frame = events().assign(time=np.arange(40) * 10**15)
    assert Dataset.from_frames(Schema(), frame, clock="order").events["time"].max() == 0
    with pytest.raises(DataError, match=r"events.time, row 1, is 1000000000000000: .*microseconds"):
        Dataset.from_frames(Schema(), frame)
