"""From tables as people have them to a data set that the rest can trust."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from funnel.data import Column, Dataset, Schema
from funnel.data.readers.folder import read_folder
from funnel.errors import DataError
from funnel.types import Clock

SCHEMA = Schema(
    users=(Column(name="country", kind="category"),),
    items=(
        Column(name="genres", kind="multi_category"),
        Column(name="price", kind="number"),
        Column(name="picture", kind="vector", size=2),
    ),
    events=(Column(name="rating", kind="number"),),
)


def frames() -> dict[str, pd.DataFrame]:
    """Out of order, with a repeated event, a repeated item, and ids that only events know."""
    return {
        "events": pd.DataFrame(
            {
                "user_id": [2, 1, 2, 2, 9],
                "item_id": ["b", "a", "c", "c", "a"],
                "time": [30, 10, 20, 20, 10],
                "rating": [5, 4, 3, 3, np.nan],
            }
        ),
        "users": pd.DataFrame({"user_id": [2, 1], "country": ["NA", None], "shoe": [40, 41]}),
        "items": pd.DataFrame(
            {
                "item_id": ["b", "a", "b"],
                "genres": ["x", "y|z", "x|y"],
                "price": [1.0, np.inf, 2.0],
                "picture": [[1, 2], None, [3, 4]],
            }
        ),
    }


def dataset(**options: object) -> Dataset:
    return Dataset.from_frames(SCHEMA, **{**frames(), **options})


def events(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"user_id": [1, 2, 1], "item_id": [5, 5, 6], "time": [3, 2, 1], **columns})


def of(**columns: object) -> Dataset:
    return Dataset.from_frames(Schema(), events(**columns))


def test_tables_are_sorted_completed_and_the_repairs_noted() -> None:
    data = dataset()
    assert data.events["time"].tolist() == [10, 10, 20, 30]
    assert data.events["user_id"].tolist() == [1, 9, 2, 2]
    assert data.user_ids.tolist() == [1, 2, 9]
    assert data.item_ids.tolist() == ["a", "b", "c"]
    assert data.users["country"].isna().tolist() == [True, False, True]
    assert data.items["price"].tolist()[:2] == [np.inf, 2.0]
    assert data.items["genres"].tolist() == [["y", "z"], ["x", "y"], []]
    assert data.items["picture"][1].tolist() == [3.0, 4.0]
    assert data.items["picture"][2] is None
    assert data.notes == (
        "users: columns left out, not in the schema: shoe",
        "events: 1 that repeat an earlier one in every column dropped",
        "users: 1 of 3 that events name added, without features",
        "items: 1 rows whose item_id comes again later dropped",
        "items: 1 of 3 that events name added, without features",
    )


def test_the_log_has_row_numbers() -> None:
    log = dataset().log
    assert log.users.tolist() == [0, 2, 1, 1]
    assert log.items.tolist() == [0, 0, 2, 1]
    assert log.times.tolist() == [10, 10, 20, 30]
    assert (log.users.dtype, log.items.dtype, log.times.dtype) == (np.int32, np.int32, np.int64)
    assert (log.n_users, log.n_items, log.clock) == (3, 3, "time")


def test_frames_given_are_not_changed() -> None:
    given = frames()
    Dataset.from_frames(SCHEMA, **given)
    for name, frame in frames().items():
        assert_frame_equal(given[name], frame)


def test_events_alone_are_enough_and_one_is_enough() -> None:
    data = Dataset.from_frames(SCHEMA, pd.DataFrame({"user_id": ["u"], "item_id": [7], "time": [0]}))
    assert data.items["price"].isna().all()
    assert (data.log.n_users, data.log.n_items, len(data.log)) == (1, 1, 1)
    assert "items: no table, so that no item has features" in data.notes


def test_equal_times_keep_the_order_of_the_source() -> None:
    data = Dataset.from_frames(
        Schema(), pd.DataFrame({"user_id": 1, "item_id": range(100, 0, -1), "time": [1, 0] * 50})
    )
    assert data.events["item_id"].tolist() == [*range(99, 0, -2), *range(100, 0, -2)]


@pytest.mark.parametrize(
    ("users", "items", "expected_users", "expected_items"),
    [
        ([1, 2, 1], [5, 5, 6], [1, 2], [5, 6]),
        ([1.0, 2.0, 1.0], ["5", 5, 6], [1, 2], ["5", "6"]),
        (["1", "2", "1"], [Decimal(5), Decimal("6.0"), 5], ["1", "2"], [5, 6]),
        (
            [uuid.UUID(int=1)] * 3,
            [5.0, 2**63 - 1, 2**64],
            [str(uuid.UUID(int=1))],
            ["18446744073709551616", "5", "9223372036854775807"],
        ),
        (["1.0", "2", "x"], ["007", "7.0", "-0.0"], ["1", "2", "x"], ["0", "007", "7"]),
        (np.array([1, 2, 1], dtype=np.uint8), [2**63, 5, 6], [1, 2], ["5", "6", str(2**63)]),
        ([1.5, 2.0, 1.5], pd.Categorical([5, 5, 6]), ["1.5", "2"], [5, 6]),
        (pd.array([1, 2, 1], dtype="Int64"), [10, 9, "x"], [1, 2], ["10", "9", "x"]),
    ],
)
def test_ids_are_integers_or_else_text(
    users: object, items: object, expected_users: list[object], expected_items: list[object]
) -> None:
    data = of(user_id=users, item_id=items)
    assert data.user_ids.tolist() == expected_users
    assert data.item_ids.tolist() == expected_items


def test_an_id_is_the_same_in_every_table() -> None:
    items = pd.DataFrame({"item_id": ["5", "6", "new"]})
    data = Dataset.from_frames(Schema(), events(), items=items)
    assert data.item_ids.tolist() == ["5", "6", "new"]
    assert data.events["item_id"].tolist() == ["6", "5", "5"]
    assert data.notes == ()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3.5, 2.0, 3.2], [2, 3, 3]),
        (["3", "2", "1"], [1, 2, 3]),
        ([pd.Timestamp(seconds, unit="s") for seconds in (86400, 7.9, 172800)], [7, 86400, 172800]),
        (["1970-01-02", "1970-01-01T01:00:00+01:00", "1970-01-03T00:00:00Z"], [0, 86400, 172800]),
        (pd.to_datetime(["1970-01-01"] * 3).tz_localize("Europe/Berlin"), [-3600, -3600, -3600]),
        (np.array([3, 2, 1], dtype=np.uint64), [1, 2, 3]),
    ],
)
def test_times_become_whole_seconds(times: object, expected: list[int]) -> None:
    data = of(time=times)
    assert data.events["time"].tolist() == expected
    assert data.events["time"].dtype == np.int64


def test_a_fraction_of_a_second_still_orders() -> None:
    assert of(time=[3.5, 2.0, 3.2]).events["item_id"].tolist() == [5, 6, 5]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": [1, np.nan, 2]}, "events.time is missing or infinite in 1 of 3 .*row 1"),
        ({"time": [1, 2, -np.inf]}, "events.time .*row 2: -inf"),
        ({"time": [1, None, "2020-01-01"]}, "events.time"),
        ({"time": ["soon", "later", "now"]}, "neither seconds since 1970 nor ISO"),
        ({"time": [True, False, True]}, "truth values"),
        ({"time": pd.to_datetime(["2020", None, "2021"])}, "events.time is missing .*row 1"),
        ({"user_id": [1, None, 2]}, "events.user_id has no id in 1 rows .*row 1"),
        ({"item_id": ["a", "", "b"]}, "events.item_id is an empty text in row 1"),
        ({"item_id": [[1], [2], [3]]}, "events.item_id holds .1. in row 0"),
        ({"item_id": [True, True, False]}, "events.item_id holds truth values"),
        ({"item_id": [1, True, 2]}, "events.item_id is True in row 1"),
        ({"item_id": [1, b"a", 2]}, "events.item_id holds b'a' in row 1"),
        (
            {"item_id": [1.0, 2.0**60, 2.0]},
            "events.item_id holds .* in row 1: a float of 2.*53 or more loses",
        ),
        (
            {"item_id": pd.Series(["a", "b", "\ud800"], dtype=object)},
            "events.item_id.*row 2.*half",
        ),
        ({"item_id": ["a", "b", np.inf]}, "events.item_id is inf in row 2"),
        ({"time": [1, 1_700_000_000_000, 2]}, "events.time, row 1, is 1700000000000: .*milliseconds"),
        ({"time": [1, 2, "1700000000000000"]}, "events.time, row 2, is 1700000000000000: .*microseconds"),
        ({"time": [1.0, 2.0, 1.7e18]}, "events.time, row 2, .*nanoseconds"),
        ({"time": ["2020-01-01", "20233-01-01", "2021-01-01"]}, "events.time, row 1, is '20233-01-01'"),
        ({"time": ["2020-01-01", "9999-12-31", "2021-01-01"]}, "events.time, row 1, is '9999-12-31': .*2286"),
        ({"split": ["train", "valid", "test"]}, "row 1 holds 'valid'"),
    ],
)
def test_a_wrong_event_is_refused_by_its_row(columns: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        of(**columns)


@pytest.mark.parametrize("convert", [int, float, str])
def test_dates_without_separators_are_no_seconds(convert: Callable[[int], object]) -> None:
    days = [20240131, 20240201, 20240201, 20241231, 20230101]
    frame = {"user_id": [1, 2, 3, 4, 5], "item_id": [1, 2, 3, 4, 5]}
    written = pd.DataFrame(frame | {"time": [convert(day) for day in days]})
    with pytest.raises(DataError, match=r'events.time .* without separators .*20240131.* "format": "%Y%m%d"'):
        Dataset.from_frames(Schema(), written)
    for one_is_none in (20241301, 20240132, 18991231, 20240000):
        seconds = pd.DataFrame(frame | {"time": [convert(day) for day in [*days[:4], one_is_none]]})
        assert len(Dataset.from_frames(Schema(), seconds).log) == 5


def test_no_events_no_column_no_clock() -> None:
    with pytest.raises(DataError, match="events is empty"):
        Dataset.from_frames(Schema(), events().iloc[:0])
    with pytest.raises(DataError, match="no column 'time'"):
        Dataset.from_frames(Schema(), events().drop(columns="time"))
    with pytest.raises(DataError, match="clock is 'sun'"):
        Dataset.from_frames(Schema(), events(), clock="sun")  # type: ignore[arg-type]


def test_a_required_feature_is_needed_for_every_item_that_events_name() -> None:
    schema = Schema(items=(Column(name="price", kind="number", required=True),))
    with pytest.raises(DataError, match=r"items has no row for 1 ids .*such as 6.* price is required"):
        Dataset.from_frames(schema, events(), items=pd.DataFrame({"item_id": [5], "price": [1.0]}))
    with pytest.raises(DataError, match="price is required"):
        Dataset.from_frames(schema, events())


@pytest.mark.parametrize(("clock", "kept"), [("time", 2), ("order", 3), ("none", 2)])
def test_what_repeats_is_dropped_unless_its_order_is_all_we_know(clock: Clock, kept: int) -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 1], "item_id": [5, 6, 5], "time": [2, 2, 2]})
    if clock == "order":
        frame = frame.drop(columns="time")
    assert len(Dataset.from_frames(Schema(), frame, clock=clock).events) == kept


def test_the_clock_order_counts_positions_in_the_list_of_each_user() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2, 1, 2], "item_id": [5, 6, 7, 5, 8]})
    data = Dataset.from_frames(Schema(), frame, clock="order")
    assert data.events["time"].tolist() == [0, 0, 1, 1, 2]
    items, times = data.log.by_user()
    assert data.item_ids[items[0]].tolist() == [5, 6, 5]
    assert times[1].tolist() == [0, 1]
    timed = Dataset.from_frames(Schema(), frame.assign(time=[9, 8, 7, 6, 5]), clock="order")
    assert timed.item_ids[timed.log.by_user()[0][0]].tolist() == [5, 6, 5]
    assert timed.events["time"].max() == 2


def test_impressions_are_ordered_and_extend_the_catalogue() -> None:
    shown = pd.DataFrame(
        {
            "request_id": ["r2", "r2", "r1", "r1", "r1"],
            "user_id": [1, 1, 3, 3, 3],
            "item_id": [5, 6, 6, 99, 99],
            "time": [7, 7, 4, 4, 4],
            "position": [1, 0, 0, 1.0, 1],
            "clicked": [0, "true", False, 1, 1],
            "cost": 3,
        }
    )
    data = Dataset.from_frames(
        Schema(impressions=(Column(name="cost", kind="number"),)), events(), impressions=shown
    )
    assert data.impressions is not None
    assert data.impressions["request_id"].tolist() == ["r1", "r1", "r2", "r2"]
    assert data.impressions["item_id"].tolist() == [6, 99, 6, 5]
    assert data.impressions["clicked"].tolist() == [False, True, True, False]
    assert data.impressions["cost"].tolist() == [3.0] * 4
    assert data.item_ids.tolist() == [5, 6, 99]
    assert data.user_ids.tolist() == [1, 2, 3]
    for column, value in (("position", -1), ("position", 0.5), ("clicked", "maybe"), ("clicked", None)):
        with pytest.raises(DataError, match=f"impressions.{column}.*row 0"):
            Dataset.from_frames(Schema(), events(), impressions=shown.assign(**{column: value}))


def test_the_checksum_follows_content_only() -> None:
    base = dataset()
    shuffled = {name: frame.iloc[::-1] for name, frame in frames().items() if name == "users"}
    assert dataset(**shuffled, name="other").checksum() == base.checksum()
    later, dearer, other_genre = frames(), frames(), frames()
    later["events"].loc[0, "time"] += 1
    dearer["items"].loc[2, "price"] += 1
    other_genre["items"].loc[2, "genres"] = "xy"
    sums = {Dataset.from_frames(SCHEMA, **changed).checksum() for changed in (later, dearer, other_genre)}
    sums |= {base.checksum(), dataset(clock="order").checksum()}
    assert len(sums) == 5


def test_saved_and_read_again(tmp_path: Path) -> None:
    shown = frames()["events"].drop(columns="rating").assign(request_id=range(5), position=0, clicked=True)
    data = dataset(impressions=shown, clock="order", name="shop")
    data.save(tmp_path / "shop")
    again = read_folder(tmp_path / "shop")
    assert again.checksum() == data.checksum()
    assert (again.name, again.clock, again.schema, again.notes) == ("shop", "order", SCHEMA, ())
    assert_frame_equal(again.items, data.items)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    with pytest.raises(DataError, match="already there and not empty"):
        data.save(tmp_path / "shop")


def test_nothing_is_left_of_a_save_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full_disk)
    with pytest.raises(OSError, match="no space"):
        dataset().save(tmp_path / "shop")
    assert list(tmp_path.iterdir()) == []


def test_csv_files_keep_what_only_looks_like_numbers_or_gaps(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,time,rating\n1,007,1970-01-02,4\n2,7,1970-01-01,\n")
    (tmp_path / "users.csv").write_text("user_id,country\n1,NA\n2,\n")
    (tmp_path / "items.csv").write_text("item_id,genres,price,picture\n007,a|b,1e2,1|2\n7,,nan,\n")
    data = Dataset.from_folder(tmp_path, SCHEMA)
    assert data.user_ids.tolist() == [1, 2]
    assert data.item_ids.tolist() == ["007", "7"]
    assert data.events["time"].tolist() == [0, 86400]
    assert data.users["country"].isna().tolist() == [False, True]
    assert data.items["genres"].tolist() == [["a", "b"], []]
    assert data.items["price"].isna().tolist() == [False, True]
    assert data.items["picture"][0].tolist() == [1.0, 2.0]
    assert data.notes == ()
    assert data.name == tmp_path.name


def test_parts_of_a_table_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    whole = dataset()
    whole.save(tmp_path / "a")
    split = tmp_path / "b"
    (split / "events").mkdir(parents=True)
    for part in range(4):
        whole.events.iloc[part : part + 1].to_parquet(split / "events" / f"part-{part}.parquet")
    for name in ("users.parquet", "items.parquet", "schema.json"):
        (split / name).write_bytes((tmp_path / "a" / name).read_bytes())
    assert read_folder(split).checksum() == whole.checksum()


def test_a_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no schema.json.*`funnel init "):
        read_folder(tmp_path)
    with pytest.raises(DataError, match=r"has no events: events.parquet"):
        Dataset.from_folder(tmp_path, SCHEMA)
    (tmp_path / "events.csv").write_text("user_id,item_id,time\n1,2,3\n")
    (tmp_path / "events.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match="events is there more than once"):
        Dataset.from_folder(tmp_path, SCHEMA)
    (tmp_path / "events.csv").unlink()
    with pytest.raises(DataError, match=r"events.parquet cannot be read"):
        Dataset.from_folder(tmp_path, SCHEMA)
    (tmp_path / "events.parquet").unlink()
    for text in ("", "user_id,item_id,time\n1,2,3\n1,2,3,4,5\n"):
        (tmp_path / "events.csv").write_text(text)
        with pytest.raises(DataError, match=r"events.csv cannot be read"):
            Dataset.from_folder(tmp_path, SCHEMA)
    (tmp_path / "schema.json").write_text('{"itms": []}')
    with pytest.raises(DataError, match=r"schema.json does not describe a data set: itms"):
        read_folder(tmp_path)


def test_a_million_events_stay_exact() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": rng.integers(0, 10**12, 10_000)[rng.integers(0, 10_000, 10**6)],
            "item_id": rng.integers(0, 1000, 10**6),
            "time": rng.integers(0, 10**9, 10**6),
        }
    )
    data = Dataset.from_frames(Schema(), frame)
    expected = frame.drop_duplicates().sort_values("time", kind="stable", ignore_index=True)
    assert np.array_equal(data.user_ids[data.log.users], expected["user_id"])
    assert np.array_equal(data.item_ids[data.log.items], expected["item_id"])
    assert np.array_equal(data.log.times, expected["time"])
