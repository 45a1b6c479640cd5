"""However a shop writes its files, the same events are read from them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel.data import Dataset
from funnel.errors import DataError
from funnel.init import guess, write

from .shops import expected, guessed, kinds, save, shop, unused, who_what_when

SHOP = shop()
TIMES = pd.to_datetime(SHOP.events["timestamp"])


@pytest.mark.parametrize("form", ["%H:%M:%S", "%H:%M", "%I:%M %p", "Parquet"])
@pytest.mark.parametrize("name", ["time", "uhrzeit"])
def test_a_day_and_a_time_of_day_in_two_columns_are_named(name: str, form: str, tmp_path: Path) -> None:
    """One of them is the time; the other is no category of the event, whatever it is called."""
    clock = TIMES.dt.time if form == "Parquet" else TIMES.dt.strftime(form)
    events = SHOP.events.drop(columns="timestamp").assign(date=TIMES.dt.strftime("%Y-%m-%d"), **{name: clock})
    SHOP.replace(events=events).write(tmp_path)
    if form == "Parquet":
        (tmp_path / "events.csv").unlink()
        events.to_parquet(tmp_path / "events.parquet")
    made, data = guessed(tmp_path)
    why = unused(made)[f"events.{name}"]
    assert why.startswith("times of day beside the days in date, and one column is read as the time")
    assert name not in kinds(made, "events")
    assert set(data.events["time"] % 86_400) == {0}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_separators_and_encodings(separator: str, encoding: str, tmp_path: Path) -> None:
    named = SHOP.items["title"].str.replace("red", "röt, „neu“")
    items = SHOP.items.assign(title=named)
    made, data = guessed(SHOP.replace(items=items).write(tmp_path, sep=separator, encoding=encoding))
    assert who_what_when(data) == expected(SHOP.events)
    assert data.items["title"].tolist() == named.tolist()
    assert data.users["country"].tolist() == SHOP.users.sort_values("user_id")["country"].tolist()
    assert kinds(made, "users") == {"country": "category", "age": "number"}
    assert data.users["age"].isna().sum() == (SHOP.users["age"] == "").sum()


def in_unit(per_second: int) -> pd.Series:
    return TIMES.map(lambda at: str(int(at.timestamp()) * per_second))


FORMS: dict[str, pd.Series] = {
    "seconds": in_unit(1),
    "milliseconds": in_unit(10**3),
    "microseconds": in_unit(10**6),
    "nanoseconds": in_unit(10**9),
    "a fraction": TIMES.map(lambda at: f"{at.timestamp():.3f}"),
    "iso, zone": TIMES.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
    "iso, another zone": TIMES.dt.tz_convert("Asia/Kolkata").map(lambda at: at.isoformat()),
    "iso, no zone": TIMES.dt.strftime("%Y-%m-%d %H:%M:%S"),
    "iso, no seconds": TIMES.dt.strftime("%Y-%m-%d %H:%M"),
    "a zone in words": TIMES.dt.strftime("%Y-%m-%d %H:%M:%S UTC"),
    "german": TIMES.dt.strftime("%d.%m.%Y %H:%M:%S"),
    "american": TIMES.dt.strftime("%m/%d/%Y %I:%M:%S %p"),
    "british": TIMES.dt.strftime("%d/%m/%Y %H:%M"),
    "american, two figures for the year": TIMES.dt.strftime("%m/%d/%y %H:%M:%S"),
    "british, two figures for the year": TIMES.dt.strftime("%d/%m/%y %H:%M:%S"),
    "months by name": TIMES.dt.strftime("%b %d, %Y, %I:%M:%S %p"),
    "months in full": TIMES.dt.strftime("%B %d, %Y %H:%M:%S"),
    "Oracle": TIMES.dt.strftime("%d-%b-%y %H:%M:%S").str.upper(),
    "slashes": TIMES.dt.strftime("%Y/%m/%d %H:%M:%S"),
    "in one": TIMES.dt.strftime("%Y%m%d%H%M%S"),
    "mail": TIMES.dt.strftime("%a, %d %b %Y %H:%M:%S +0000"),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_of_any_unit_and_form(form: str, tmp_path: Path) -> None:
    save(SHOP.events.assign(timestamp=FORMS[form]), tmp_path / "events.csv")
    made, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert any(one.what == "time" and one.because for one in made.findings)


def test_a_day_and_a_month_that_cannot_be_told_apart_are_unsure(tmp_path: Path) -> None:
    written = ["01.02.2026", "02.02.2026", "03.02.2026"] * 400
    events = SHOP.events.assign(timestamp=[one.replace(".", "/") for one in written])
    made, data = guessed(SHOP.replace(events=events).write(tmp_path))
    (time,) = [one for one in made.findings if one.what == "time"]
    assert time.sure == "unsure"
    assert data.events["time"].max() - data.events["time"].min() == 2 * 86_400


def test_a_moment_of_none_is_a_gap(tmp_path: Path) -> None:
    """MySQL's, where a column takes no null."""
    events = SHOP.events.assign(timestamp=TIMES.dt.strftime("%Y-%m-%d %H:%M:%S"))
    events.loc[::100, "timestamp"] = "0000-00-00 00:00:00"
    _, data = guessed(SHOP.replace(events=events).write(tmp_path))
    assert who_what_when(data) == expected(SHOP.events[np.arange(len(events)) % 100 > 0])


@pytest.mark.parametrize("odd", ["%d/%m/%Y %H:%M", "not yet"])
def test_moments_of_two_forms_are_said_and_no_labels(odd: str, tmp_path: Path) -> None:
    written = TIMES.dt.strftime("%Y-%m-%d %H:%M:%S")
    written[::20] = TIMES[::20].dt.strftime(odd)
    folder = SHOP.replace(events=SHOP.events.assign(timestamp=written)).write(tmp_path)
    made = guess(folder)
    assert made.description.clock == "order"
    assert kinds(made, "events") == {}
    said = f"moments that are not all of one form, such as '{written[1]}' and '{written[0]}'"
    assert said in unused(made)["events.timestamp"]
    with pytest.raises(DataError, match="timestamp holds moments that are not all of one form"):
        guess(folder, keys={"time": "timestamp"})


def test_the_shortest_moment_is_one(tmp_path: Path) -> None:
    events = SHOP.events.assign(timestamp=["1.2.26", "2.2.26", "3.2.26"] * 400)
    _, data = guessed(SHOP.replace(events=events).write(tmp_path))
    first, last = (pd.Timestamp(f"2026-02-0{day}") for day in (1, 3))
    assert data.events["time"].min() == first.timestamp()
    assert data.events["time"].max() == last.timestamp()


def test_a_zone_that_a_person_names_is_used(tmp_path: Path) -> None:
    events = SHOP.events.assign(
        timestamp=TIMES.dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%d %H:%M:%S")
    )
    SHOP.replace(events=events).write(tmp_path)
    guessed(tmp_path)
    schema = tmp_path / "schema.json"
    schema.write_text(
        schema.read_text().replace('"path": "events.csv"', '"path": "events.csv", "zone": "Europe/Berlin"')
    )
    assert who_what_when(Dataset.from_folder(tmp_path)) == expected(SHOP.events)


@pytest.mark.parametrize(
    "names",
    [
        ("userId", "itemId", "eventType", "eventTime"),
        ("customer_no", "sku", "action", "created_at"),
        ("Kundennummer", "Artikelnr", "Aktion", "Zeitpunkt"),
        ("VISITOR ID", "PRODUCT ID", "TYPE", "TS"),
        ("uid", "pid", "behavior", "date"),
        ("client.id", "ad.id", "kind", "utc"),
    ],
)
def test_columns_keep_their_names(names: tuple[str, ...], tmp_path: Path) -> None:
    events = SHOP.events.set_axis(list(names), axis=1)
    items = SHOP.items.rename(columns={"item_id": "id"})
    users = SHOP.users.rename(columns={"user_id": "ID"})
    made, data = guessed(SHOP.replace(events=events, items=items, users=users).write(tmp_path))
    assert who_what_when(data) == expected(SHOP.events)
    assert (len(data.items), len(data.users)) == (len(items), len(users))
    assert kinds(made, "items")["title"] == "text"
    assert kinds(made, "events") == {}
    assert set(data.events["kind"]) == {"view", "purchase"}


def test_gaps_in_keys_are_counted_and_left_out(tmp_path: Path) -> None:
    events = SHOP.events.copy()
    events.loc[::10, "user_id"] = ""
    events.loc[5::10, "timestamp"] = "NULL"
    made, data = guessed(SHOP.replace(events=events).write(tmp_path))
    there = SHOP.events[[number % 10 not in (0, 5) for number in range(len(events))]]
    assert who_what_when(data) == expected(there)
    assert unused(made)["events.user_id"].startswith("10.0%")
    assert any("120 of 1200 rows left out, without a user_id" in note for note in data.notes)


def test_decimal_commas_and_thousands(tmp_path: Path) -> None:
    prices = np.arange(60) * 100.25
    written = [f"{price:,.2f}".translate(str.maketrans(",.", ".,")) for price in prices]
    made, data = guessed(SHOP.replace(items=SHOP.items.assign(price=written)).write(tmp_path, sep=";"))
    assert kinds(made, "items")["price"] == "number"
    assert data.items["price"].tolist() == prices.tolist()


@pytest.mark.parametrize("written", ["1.234", "1.234,50", "0,643", "12,50"])
def test_the_value_of_events_has_the_decimals_of_the_file(written: str, tmp_path: Path) -> None:
    value = float(written.replace(".", "").replace(",", "."))
    events = SHOP.events.assign(revenue=written, discount=["0,5", "12,25"] * (len(SHOP.events) // 2))
    made, data = guessed(SHOP.replace(events=events).write(tmp_path, sep=";"))
    assert made.description.files is not None
    assert made.description.files["events"].columns["value"] == "revenue"
    assert set(data.events["value"]) == {value}


@pytest.mark.parametrize("far", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
@pytest.mark.parametrize("typed", [True, False])
def test_a_moment_that_stands_for_none_is_told(far: str, typed: bool, tmp_path: Path) -> None:
    """It does not make of the times what is no time, and stops nothing."""
    written = TIMES.dt.strftime("%Y-%m-%dT%H:%M:%S.123Z")
    written[7] = far
    items = SHOP.items.assign(until=["31.12.2025", "31.12.9999"] * 30)
    if typed:
        parquet(SHOP.events.assign(timestamp=pd.to_datetime(written)), tmp_path / "events.parquet")
        items = items.assign(until=pd.array(["2025-01-01T00:00:00.5", "9999-12-31"] * 30, "datetime64[us]"))
        parquet(items, tmp_path / "items.parquet")
    else:
        SHOP.replace(events=SHOP.events.assign(timestamp=written), items=items).write(tmp_path)
    made = guess(tmp_path)
    assert made.description.clock == "time"
    told = unused(made)
    assert told["items.until"].startswith("moments")
    early = "some are before 1653, such as 0001-01-01: `funnel run` refuses such events"
    assert early in told["events.timestamp"] if far < "1" else "days ahead" in told["events.timestamp"]


@pytest.mark.parametrize("outlier", [10**17, -(10**17)])
def test_one_number_that_is_no_moment_stops_nothing(outlier: int, tmp_path: Path) -> None:
    times = [str(int(at.timestamp())) for at in TIMES]
    times[5] = str(outlier)
    SHOP.replace(events=SHOP.events.assign(timestamp=times)).write(tmp_path)
    made = guess(tmp_path)
    assert outlier < 0 or "days ahead" in unused(made)["events.timestamp"]


GRAMS = [643, 1204, 12_000, 90]


@pytest.mark.parametrize("other", ["4.5", "red", "12.99"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_three_figures_behind_a_zero_and_a_comma_are_a_fraction(
    separator: str, other: str, tmp_path: Path
) -> None:
    weights = [f"{grams / 1000:.3f}".replace(".", ",") for grams in GRAMS * 15]
    sizes = [other, f"1{other}"] * 30
    items = SHOP.items[["item_id", "title"]].assign(weight=weights, size=sizes)
    made, data = guessed(SHOP.replace(items=items).write(tmp_path, sep=separator))
    assert kinds(made, "items")["weight"] == "number"
    assert data.items["weight"].tolist() == [grams / 1000 for grams in GRAMS * 15]
    if other != "red":
        assert data.items["size"].tolist() == [float(size) for size in sizes]


@pytest.mark.parametrize("separator", [",", ";"])
def test_where_comma_and_point_begin_fractions_no_number_is_read_wrongly(
    separator: str, tmp_path: Path
) -> None:
    weights = [f"{grams / 1000:.3f}".replace(".", ",") for grams in GRAMS * 15]
    sizes = ["4.5", "4.125"] * 30
    items = SHOP.items[["item_id", "title"]].assign(weight=weights, size=sizes)
    made, data = guessed(SHOP.replace(items=items).write(tmp_path, sep=separator))
    assert kinds(made, "items").get("weight") != "number"
    assert data.items["size"].tolist() == [4.5, 4.125] * 30


@pytest.mark.parametrize("separator", [",", ";"])
def test_thousands_stay_thousands(separator: str, tmp_path: Path) -> None:
    """In English: the comma of 1,204 begins no fraction beside points that do."""
    items = SHOP.items.assign(stock=["1,204", "12,000", "100"] * 20)
    _, data = guessed(SHOP.replace(items=items).write(tmp_path, sep=separator))
    assert data.items["stock"].tolist() == [1204, 12_000, 100] * 20
    assert data.items["price"].tolist() == SHOP.items["price"].astype(float).tolist()


def parquet(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)


def parts(folder: Path, save_part: Callable[[pd.DataFrame, Path], None], ending: str) -> None:
    for number in range(3):
        save_part(SHOP.events.iloc[number::3], folder / "clicks" / f"part-{number}.{ending}")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_folders_of_parts(ending: str, tmp_path: Path) -> None:
    how = {"csv": lambda t, p: save(t, p), "tsv": lambda t, p: save(t, p, sep="\t"), "parquet": parquet}[
        ending
    ]
    parts(tmp_path, how, ending)
    parquet(SHOP.items, tmp_path / "products.parquet")
    made, data = guessed(tmp_path)
    assert sorted(who_what_when(data)) == sorted(expected(SHOP.events))
    assert (made.description.files or {})["events"].path == "clicks"
    assert unused(made)["users"].startswith("no file is a table of users")


def test_files_with_a_date_in_their_name_are_one_table_and_so_is_the_next(tmp_path: Path) -> None:
    for days, rows in SHOP.events.groupby(SHOP.events["timestamp"].str[:9]):
        save(rows, tmp_path / f"export-{days}.csv")
    save(SHOP.items, tmp_path / "items.csv")
    _, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    later = SHOP.events.tail(5).assign(timestamp="2026-03-01T00:00:00Z")
    save(later, tmp_path / "export-2026-03.csv")
    assert len(Dataset.from_folder(tmp_path).events) == len(SHOP.events) + 5


def test_folders_by_day(tmp_path: Path) -> None:
    for day, rows in SHOP.events.groupby(SHOP.events["timestamp"].str[:10]):
        parquet(rows, tmp_path / f"day={day}" / "part-0.parquet")
    _, data = guessed(tmp_path)
    assert sorted(who_what_when(data)) == sorted(expected(SHOP.events))


def test_types_of_parquet_are_taken(tmp_path: Path) -> None:
    events = SHOP.events.assign(timestamp=TIMES)
    items = SHOP.items.assign(
        image=[np.arange(4, dtype=np.float32) + row for row in range(60)],
        tags=[["a", "b"], ["c"]] * 30,
        in_stock=SHOP.items["in_stock"] == "True",
        price=SHOP.items["price"].astype(float),
        added=pd.date_range("2025-01-01", periods=60),
    )
    parquet(events, tmp_path / "interactions.parquet")
    parquet(items, tmp_path / "catalogue.parquet")
    made, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert kinds(made, "items") == {
        "title": "text", "category": "category", "price": "number", "in_stock": "boolean",
        "image": "vector", "tags": "multi_category",
    }  # fmt: skip
    assert "moments" in unused(made)["items.added"]


def test_decimals_and_dates_of_warehouses_are_numbers_and_moments(tmp_path: Path) -> None:
    """DECIMAL(10, 2), DECIMAL(38, 0) and DATE: Python's own types in a frame."""
    prices: list[Any] = [Decimal(row * 325 + 1).scaleb(-2) for row in range(60)]
    days = [date(2025, 1, 1 + row % 28) for row in range(60)]
    codes: list[Any] = [Decimal(row % 3) for row in range(60)]
    worth: list[Any] = [Decimal("2.50")] * len(SHOP.events)
    events = SHOP.events.assign(timestamp=TIMES, revenue=worth)
    parquet(events, tmp_path / "interactions.parquet")
    parquet(SHOP.items.assign(price=prices, added=days, brand_id=codes), tmp_path / "catalogue.parquet")
    made, data = guessed(tmp_path)
    found = kinds(made, "items")
    assert (found["price"], found["brand_id"]) == ("number", "category")
    assert data.items["price"].tolist() == [float(price) for price in prices]
    assert set(data.items["brand_id"]) == {"0", "1", "2"}
    assert "moments" in unused(made)["items.added"]
    assert set(data.events["value"]) == {2.5}


def test_a_single_file_is_the_events(tmp_path: Path) -> None:
    save(SHOP.events, tmp_path / "export.csv")
    save(SHOP.items, tmp_path / "elsewhere.csv")
    made, data = guessed_file(tmp_path / "export.csv")
    assert made == tmp_path
    assert data == expected(SHOP.events)


def guessed_file(path: Path) -> tuple[Path, list[tuple[object, object, int]]]:
    made = guess(path)
    write(made, None, data=str(made.folder))
    return made.folder, who_what_when(Dataset.from_folder(made.folder))
