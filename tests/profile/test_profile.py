"""A data set in figures, as a value, a table and a page."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from funnel.data import Column, Dataset, Schema, SplitConfig, split
from funnel.data.columnar.table import Table
from funnel.data.readers.synthetic import read_world
from funnel.errors import FunnelError
from funnel.pages.profile import write_page
from funnel.profile.figures import Profile, profile
from funnel.profile.log import shown
from funnel.profile.table import as_table
from funnel.profile.tail import tail
from funnel.synthetic import SyntheticConfig, write_world

SCHEMA = Schema(
    users=(Column(name="age", kind="number"), Column(name="city", kind="category")),
    items=(
        Column(name="tags", kind="multi_category"),
        Column(name="title", kind="text"),
        Column(name="picture", kind="vector", size=2),
    ),
    events=(Column(name="rating", kind="number"),),
)


def data(**change: object) -> Dataset:
    """Ten users, five items, a hundred events; one of everything that can be odd."""
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "user_id": rng.integers(10, size=100),
            "item_id": rng.integers(4, size=100),
            "time": np.arange(100) * 3600,
            "rating": rng.integers(1, 4, size=100),
        }
    )
    users = pd.DataFrame(
        {
            "user_id": range(10),
            "age": [20, 30, 40, 50, np.nan, np.inf, -np.inf, 30, 30, 30],
            "city": ["Bonn", "Bonn", " Bonn", "null", "Kiel", None, "", "Kiel", "Bonn", "Ulm"],
        }
    )
    items = pd.DataFrame(
        {
            "item_id": range(5),
            "tags": [["a", "b"], ["a"], [], ["a", "none"], ["c"]],
            "title": ["<script>alert(1)</script>", "x", "y", "z", "x"],
            "picture": [[0.0, 1.0], None, [np.nan, 1.0], [1.0, 1.0], [np.inf, 0.0]],
        }
    )
    return Dataset.from_frames(SCHEMA, events, users, items, name="odd", **change)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found() -> Profile:
    return profile(data())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp("world") / "small"
    return profile(read_world(write_world(SyntheticConfig(users=60, items=300, days=6), folder)))


def untimed(clock: str) -> Profile:
    rows = [(user, item, "test" if item == 3 else "train") for user in "abc" for item in range(4)]
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "split"])
    if clock == "order":
        events = events.drop(columns="split")
    return profile(Dataset.from_frames(Schema(), events, clock=clock))  # type: ignore[arg-type]


def test_columns_tell_gaps_and_what_cannot_be_meant(found: Profile) -> None:
    columns = {f"{column.table}.{column.name}": column for column in found.columns}
    assert list(columns) == [
        *("events.rating", "users.age", "users.city", "items.tags", "items.title", "items.picture"),
    ]
    seen = {name: (column.missing, column.unexpected, column.distinct) for name, column in columns.items()}
    assert seen == {
        "events.rating": (0, 0, 3),
        "users.age": (1, 2, 4),
        "users.city": (2, 2, 5),
        "items.tags": (1, 1, 4),
        "items.title": (0, 0, 4),
        "items.picture": (1, 2, None),
    }
    assert columns["users.age"].examples == ("-inf", "inf")
    assert set(columns["users.city"].examples) == {"null", " Bonn"}
    assert columns["items.tags"].common[0] == ("a", 3)
    numbers = columns["users.age"].numbers
    assert numbers is not None
    assert (numbers.smallest, numbers.median, numbers.largest) == (20, 30, 50)
    assert sum(numbers.counts) == 7


def test_rows_balance_and_span(found: Profile) -> None:
    assert found.rows == {"events": 100, "users": 10, "items": 5}
    assert list(found.balance) == ["events.rating"]
    assert list(found.balance["events.rating"]) == ["1", "2", "3"]
    assert sum(found.balance["events.rating"].values()) == 100
    assert found.items.without == 1
    assert found.span is not None
    assert (found.span.first, found.span.last) == ("1970-01-01T00:00:00", "1970-01-05T03:00:00")
    assert sum(found.span.counts) == 100


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any))
def test_the_tail_is_what_the_definitions_say(counts: list[int]) -> None:
    """Gini as half the mean absolute difference of all pairs over the mean."""
    array = np.array(counts)
    shares = tail(array)
    gini = np.abs(array[:, None] - array).mean() / (2 * array.mean())
    assert shares.gini == pytest.approx(gini, abs=1e-9)
    assert shares.top == pytest.approx(array.max() / array.sum())
    assert shares.without == (array == 0).sum()
    assert sum(n for _, n in shares.sizes) == len(array)
    for (lower, _), (upper, n) in zip(shares.sizes, shares.sizes[1:], strict=False):
        assert n == ((array > lower) & (array <= upper)).sum()
    assert (shares.curve[0], shares.curve[-1]) == (0, pytest.approx(1))
    assert np.diff(shares.curve).min() > -1e-9


def test_cold_is_what_the_training_part_has_no_event_of() -> None:
    events = pd.DataFrame(
        {
            "user_id": [1, 2, 1, 2, 1, 3, 4, 2],
            "item_id": [1, 1, 2, 2, 3, 1, 4, 5],
            "time": range(8),
        }
    )
    dataset = Dataset.from_frames(Schema(), events)
    config = SplitConfig(ranker=0.5, test=0.75)
    train, ranker, test = profile(dataset, config).parts
    assert (train.events, train.users, train.items) == (4, 2, 2)
    # Ranker: 1 takes 3 (new), 3 (new) takes 1. Test: 4 takes 4 (both new), 2 takes 5 (new).
    assert (ranker.requests, ranker.cold_users, ranker.cold_items) == (2, 0.5, 0.5)
    assert (test.requests, test.cold_users, test.cold_items) == (2, 0.5, 1.0)
    assert test.events == len(split(dataset, config, 0).test.targets.values)


def test_what_cannot_be_split_is_profiled_all_the_same() -> None:
    lonely = Dataset.from_frames(Schema(), pd.DataFrame({"user_id": [1], "item_id": [1], "time": [5]}))
    shown = profile(lonely)
    assert shown.parts == ()
    assert any(note.startswith("no split: ") for note in shown.notes)
    assert shown.span is not None
    assert shown.span.counts == (1,)
    assert Console(file=io.StringIO()).print(as_table(shown)) is None


def test_each_clock_has_its_usual_split(found: Profile, world: Profile) -> None:
    assert [found.protocol, world.protocol] == ["time", "time"]
    assert untimed("order").protocol == "leave_one_out"
    assert untimed("none").protocol == "given"
    assert untimed("none").balance == {"events.split": {"train": 9, "test": 3}}
    assert untimed("none").span is None


def test_impressions_are_counted_by_position(world: Profile) -> None:
    of = world.impressions
    assert of is not None
    assert len(of.by_place) == 10
    assert sum(n for n, _ in of.by_place) == of.rows
    assert sum(clicked for _, clicked in of.by_place) == of.clicked == world.rows["events"]
    rates = [clicked / n for n, clicked in of.by_place]
    assert rates[0] > rates[-1]


@pytest.mark.parametrize("rows", [0, 3])
def test_a_wrong_position_makes_no_long_profile(rows: int) -> None:
    table = {"request_id": [1, 1, 2], "position": [0, 2**31 - 1, 1], "clicked": [True, True, False]}
    of = shown(Table.of(pd.DataFrame(table).astype({"position": "int32"}).head(rows)))
    assert len(of.by_place) == (1_000 if rows else 0)
    assert (of.rows, of.clicked) == (rows, sum(clicked for _, clicked in of.by_place))
    assert not rows or (of.by_place[1], of.by_place[-1]) == ((1, 0), (1, 1))


def test_it_goes_to_json_and_back(found: Profile, world: Profile) -> None:
    for one in (found, world):
        text = json.dumps(one.to_dict(), allow_nan=False)
        assert Profile.model_validate_json(text) == one


def test_huge_numbers_are_no_trouble() -> None:
    events = pd.DataFrame(
        {"user_id": [1, 2], "item_id": [1, 2], "time": [1, 2], "rating": [1.7e308, -1.7e308]}
    )
    shown = profile(Dataset.from_frames(Schema(events=SCHEMA.events), events))
    json.dumps(shown.to_dict(), allow_nan=False)


@pytest.mark.parametrize("kind", ["odd", "world", "order", "none"])
def test_the_table_fits_in_a_hundred_columns(kind: str, found: Profile, world: Profile) -> None:
    one = {"odd": found, "world": world}.get(kind) or untimed(kind)
    out = io.StringIO()
    Console(file=out, width=100).print(as_table(one))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert one.name in text
    assert "Gini" in text
    for part in one.parts:
        assert part.name in text


@pytest.mark.parametrize("kind", ["odd", "world", "order", "none"])
def test_the_page_needs_nothing_else(kind: str, found: Profile, world: Profile, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one = {"odd": found, "world": world}.get(kind) or untimed(kind)
    page = write_page(one, tmp_path / "deep" / "profile.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 + (one.span is not None) + (one.impressions is not None)
    for reference in ("<script", "<link", "<img", "src=", "url(http", "@import"):
        assert reference not in page
    for column in one.columns:
        assert f">{column.name}</b>" in page
    assert one.checksum in page
    assert write_page(one, tmp_path / "again.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("absent", ["jinja2", "matplotlib"])
def test_without_the_plot_extra_the_page_says_so(
    absent: str, found: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(FunnelError, match=r'pip install "funnel-rank\[plot\]"'):
        write_page(found, tmp_path / "profile.html")
    assert list(tmp_path.iterdir()) == []


def test_truth_values_are_counted_and_a_slip_of_the_pen_is_named() -> None:
    flag = Column(name="paid", kind="boolean")
    events = pd.DataFrame(
        {
            "user_id": range(50),
            "item_id": 1,
            "time": [1_700_000_000 + second for second in range(49)] + [7_000_000_000],
            "paid": pd.array([True, False, None, False, False] * 10, "boolean"),
        }
    )
    found = profile(Dataset.from_frames(Schema(events=(flag,)), events))
    (column,) = found.columns
    assert (column.missing, column.distinct, column.common) == (10, 2, (("false", 30), ("true", 10)))
    assert found.balance["events.paid"] == {"false": 30, "true": 10}
    assert any("far from all others, the first in row 49 (2191-10-27" in note for note in found.notes)
    Console(file=io.StringIO(), width=100).print(as_table(found))


@pytest.mark.parametrize("kind", ["category", "boolean", "text", "multi_category", "number"])
def test_a_column_that_is_known_live_only_is_missing_throughout(kind: str) -> None:
    column = Column.model_validate({"name": "country", "kind": kind, "context": True})
    events = pd.DataFrame({"user_id": range(20), "item_id": 1, "time": 1_700_000_000 + np.arange(20)})
    found = profile(Dataset.from_frames(Schema(events=(column,)), events))
    (country,) = found.columns
    assert (country.missing, country.distinct, country.common) == (20, 0, ())
    Console(file=io.StringIO(), width=100).print(as_table(found))
