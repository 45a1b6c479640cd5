"""Tables as their owners write them, which `files` in `schema.json` describes; and wrong descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.data import Dataset
from funnel.data.foreign import in_our_decimals, split_cell
from funnel.errors import DataError

LOG = "who;what;at;kind\nann;x;05.01.2026 10:00;buy\nbob;y;05.01.2026 11:00;view\n;y;05.01.2026 12:00;view\n"
EVENTS: dict[str, Any] = {
    "path": "log.txt",
    "separator": ";",
    "columns": {"user_id": "who", "item_id": "what", "time": "at"},
    "format": "%d.%m.%Y %H:%M",
    "skip_gaps": True,
}


def read(folder: Path, log: str = LOG, events: dict[str, Any] | None = None, **schema: Any) -> Dataset:
    (folder / "log.txt").write_text(log)
    described = {"files": {"events": {**EVENTS, **(events or {})}}, **schema}
    (folder / "schema.json").write_text(json.dumps(described))
    return Dataset.from_folder(folder)


def test_a_table_is_read_as_it_is_described(tmp_path: Path) -> None:
    data = read(tmp_path)
    assert data.events["user_id"].tolist() == ["ann", "bob"]
    assert data.events["time"].tolist() == [
        int(pd.Timestamp(f"2026-01-05 {h}:00").timestamp()) for h in (10, 11)
    ]
    assert "events: 1 of 3 rows left out, without a user_id" in data.notes


def test_summer_time(tmp_path: Path) -> None:
    """An hour that comes twice is the first; one that is left out is the next."""
    log = "who;what;at\na;x;25.10.2026 02:30\na;y;29.03.2026 02:30\na;z;01.07.2026 12:00\n"
    times = read(tmp_path, log, {"zone": "Europe/Berlin"}).events["time"].tolist()
    wanted = ["2026-03-29T01:00Z", "2026-07-01T10:00Z", "2026-10-25T00:30Z"]
    assert times == [int(pd.Timestamp(one).timestamp()) for one in wanted]


def test_only_tables_that_are_named_are_read(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("this is,no table\nof ours,1\n")
    assert len(read(tmp_path).users) == 2


def test_a_column_that_only_has_the_name_of_a_key_is_nobodys(tmp_path: Path) -> None:
    log = "who;what;at;time;split\nann;x;05.01.2026 10:00;noon;left\n"
    columns = {**EVENTS["columns"], "split": None}
    data = read(tmp_path, log, {"columns": columns})
    assert data.events["time"].tolist() == [int(pd.Timestamp("2026-01-05 10:00").timestamp())]
    assert "split" not in data.events


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such file": ({"path": "lgo.txt"}, r"lgo.txt is not there, which schema.json names as events"),
    "no such column": ({"columns": {"user_id": "whom"}}, r"no column 'whom', the user_id of schema.json"),
    "no such key": ({"columns": {"user": "who"}}, r"events has no key 'user': schema.json may name user_id"),
    "one column, two keys": ({"columns": {"user_id": "who", "item_id": "who"}}, r"'who' cannot be two keys"),
    "nothing kept": ({"keep": {"kind": ["bye"]}}, r"events.kind has none of 'bye', .* it has 'view', 'buy'"),
    "kept by nothing": ({"keep": {"knd": ["buy"]}}, r"no column 'knd', by which schema.json keeps rows"),
    "another format": ({"format": "%Y/%m/%d"}, r"events.at, row 0, is '05.01.2026 10:00': %Y/%m"),
    "gaps": ({"skip_gaps": False}, r"events.user_id has no id in 1 rows"),
    "no encoding": ({"encoding": "utf8000"}, r"'utf8000' is no encoding"),
    "no zone": ({"zone": "Berlin"}, r"'Berlin' is no time zone"),
    "no separator": ({"separator": ";;"}, r"files.events.separator"),
    "two forms": ({"unit": "milliseconds"}, r"`unit` is of times that are numbers"),
    "a mistyped key": ({"seperator": ";"}, r"files.events.seperator"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_description_that_is_wrong_is_refused(name: str, tmp_path: Path) -> None:
    events, why = WRONG[name]
    with pytest.raises(DataError, match=why):
        read(tmp_path, events=events)


def test_a_description_without_events_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"files": {"items": {"path": "items.csv"}}}')
    with pytest.raises(DataError, match="names files, but none of events"):
        Dataset.from_folder(tmp_path)


def test_a_bad_time_is_named_with_its_column_and_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"events.at, row 1, is 'soon'"):
        read(tmp_path, LOG.replace("05.01.2026 11:00", "soon"))


CHARACTERS = st.characters(codec="utf-8", exclude_characters="|'\"\\[]{}()")
WORDS = st.lists(st.text(CHARACTERS, min_size=1).map(str.strip).filter(bool), min_size=1)


@given(WORDS, st.sampled_from([",", ";", "|", "/"]))
def test_what_was_joined_is_what_is_inside(words: list[str], separator: str) -> None:
    plain = [word for word in (one.replace(separator, "").strip() for one in words) if word]
    assert split_cell(separator.join(plain), separator) == plain
    assert split_cell(f"[{f' {separator} '.join(plain)}]", separator) == plain


@given(WORDS)
def test_json_and_python_lists_are_read_with_commas_in_their_values(words: list[str]) -> None:
    assert split_cell(json.dumps(words, ensure_ascii=False), ",") == words
    plain = [word for word in words if word.isprintable()]
    assert split_cell(repr(plain), ",") == plain


@given(st.text())
def test_any_cell_is_split_without_an_error(text: str) -> None:
    for separator in ",;| ":
        assert all(isinstance(one, str) and one for one in split_cell(text, separator))


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1))
def test_decimals(cents: list[int]) -> None:
    wanted = [one / 100 for one in cents]
    english = pd.Series([f"{one:,.2f}" for one in wanted], dtype="str")
    german = pd.Series([f"{one:,.2f}".translate(str.maketrans(",.", ".,")) for one in wanted], dtype="str")
    for written, decimal in ((english, "."), (german, ",")):
        assert np.allclose(in_our_decimals(written, decimal, "it").astype(float), wanted)


COMMAS: dict[str, tuple[str, dict[str, Any], int]] = {
    "seconds": ("1.700.000.000", {}, 1_700_000_000),
    "a fraction": ("1700000000,75", {}, 1_700_000_000),
    "milliseconds": ("1700000000500,5", {"unit": "milliseconds"}, 1_700_000_000),
    "ISO 8601": ("2023-11-14T22:13:20,5", {}, 1_700_000_000),
    "a zone": ("2023-11-15 07:13:20,5", {"zone": "Asia/Tokyo"}, 1_700_000_000),
}  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("form", COMMAS)
def test_keys_that_are_numbers_have_the_decimals_of_the_file(form: str, whole: bool, tmp_path: Path) -> None:
    """Values, positions and times are read by `decimal` as other columns are, at once and batch by batch."""
    time, more, wanted = COMMAS[form]
    file = {"separator": ";", "decimal": ",", "skip_gaps": whole, **more}
    (tmp_path / "e.csv").write_text(
        f"user_id;item_id;time;value;price\na;x;{time};1.234;1.234\na;y;{time};1.234,56;2,5\na;z;{time};0,643;1\n"
    )
    shown = "".join(f"r;a;{item};{time};{at};1\n" for item, at in (("x", "0,0"), ("y", "1.000"), ("z", "2")))
    (tmp_path / "i.csv").write_text("request_id;user_id;item_id;time;position;clicked\n" + shown)
    files = {"events": {"path": "e.csv", **file}, "impressions": {"path": "i.csv", **file}}
    described = {"files": files, "events": [{"name": "price", "kind": "number"}]}
    (tmp_path / "schema.json").write_text(json.dumps(described))
    data = Dataset.from_folder(tmp_path)
    assert data.events["value"].tolist() == [1234.0, 1234.56, 0.643]
    assert data.events["price"].tolist() == [1234.0, 2.5, 1.0]
    assert data.events["time"].unique().tolist() == [wanted]
    assert data.impressions is not None
    assert data.impressions["position"].tolist() == [0, 2, 1000]


def test_values_with_commas_between_thousands(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text('user_id,item_id,time,value\na,x,5,"1,234.50"\na,y,6,"12,000"\n')
    (tmp_path / "schema.json").write_text('{"files": {"events": {"path": "e.csv"}}}')
    assert Dataset.from_folder(tmp_path).events["value"].tolist() == [1234.5, 12_000.0]


PRICES: dict[str, tuple[str, list[str], list[float] | str]] = {
    "a bare zero, and a point": (".", ["0,643", "0,7"], "row 0 .*'0,643'"),
    "both, and a point": (".", ["1,204", "0,643"], "row 1, is '0,643', and row 0 is '1,204': ',' begins"),
    "a bare zero, and a comma": (",", ["0.643", "-0.5"], [0.643, -0.5]),
    "both, and a comma": (",", ["0.643", "1.204"], "row 0, is '0.643', and row 1 is '1.204': '.' begins"),
    "short ones, and a comma": (",", ["4.125", "4.5"], "row 1, is '4.5', and row 0 is '4.125'"),
    "no thousands": (",", ["4.5", "1700000000.125", "12,50"], [4.5, 1700000000.125, 12.5]),
    "thousands": (",", ["1.204", "-10.000,5", "1.000.000", "0,643"], [1204, -10_000.5, 1_000_000, 0.643]),
}  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", PRICES)
def test_no_number_is_a_thousand_times_what_it_was(name: str, whole: bool, tmp_path: Path) -> None:
    """Where a column shows that a sign begins fractions it does not stand between thousands."""
    decimal, written, wanted = PRICES[name]
    rows = "".join(f"ann;x;{10 + row};{price};{price}\n" for row, price in enumerate(written))
    (tmp_path / "log.txt").write_text("who;what;time;price;value\n" + rows)
    columns = {"user_id": "who", "item_id": "what", "value": None}
    file = {"path": "log.txt", "separator": ";", "decimal": decimal, "skip_gaps": whole, "columns": columns}
    described = {"files": {"events": file}, "events": [{"name": "price", "kind": "number"}]}
    (tmp_path / "schema.json").write_text(json.dumps(described))
    if isinstance(wanted, list):
        assert Dataset.from_folder(tmp_path).events["price"].tolist() == wanted
    else:
        with pytest.raises(DataError, match=wanted):
            Dataset.from_folder(tmp_path)


#: An hour that comes twice, one that is left out, and a usual one, in Berlin.
LOCAL = ["2026-10-25 02:30", "2026-03-29 02:30", "2026-07-01 12:00"]


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_times_without_a_zone_are_of_the_files_whatever_other_parts_have(
    zone: str, unit: str, tmp_path: Path
) -> None:
    """A part that names one changes nothing of one that does not; nor does the order in which they come."""
    (tmp_path / "events").mkdir()
    there = pd.to_datetime(pd.Series(["2026-07-01T10:00Z"] * 3)).dt.tz_convert("Asia/Tokyo")
    parts = {"aware": there, "naive": pd.Series(LOCAL).astype(f"datetime64[{unit}]")}
    wanted: list[list[int]] = []
    for several in (["naive"], ["naive", "aware"], ["aware", "naive"]):
        for number, name in enumerate(several):
            frame = pd.DataFrame({"user_id": name, "item_id": ["x", "y", "z"], "time": parts[name]})
            frame["day"] = pd.Timestamp("2026-07-01").date()
            frame.to_parquet(tmp_path / "events" / f"{number}.parquet")
        described = {"files": {"events": {"path": "events", "zone": zone}}}
        (tmp_path / "schema.json").write_text(json.dumps(described))
        events = Dataset.from_folder(tmp_path).events
        wanted.append(events["time"][events["user_id"] == "naive"].tolist())
        others = events["time"][events["user_id"] == "aware"]
        assert set(others) <= {int(pd.Timestamp("2026-07-01T10:00Z").timestamp())}
    berlin = ["2026-03-29T01:00Z", "2026-07-01T10:00Z", "2026-10-25T00:30Z"]
    utc = ["2026-03-29T02:30Z", "2026-07-01T12:00Z", "2026-10-25T02:30Z"]
    expected = [int(pd.Timestamp(at).timestamp()) for at in (utc if zone == "UTC" else berlin)]
    assert wanted == [expected] * 3


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("end", ["parquet", "csv"])
@pytest.mark.parametrize("far", ["9999-12-31 23:59:59", "0001-01-01 00:00:00"])
def test_a_moment_that_stands_for_none_is_named(far: str, end: str, zone: str, tmp_path: Path) -> None:
    """Beside times with fractions, and in zones in which it is of the year 0 or 10000 elsewhere."""
    times = ["2026-01-05 10:00:00.5", "2026-01-05 11:00:00", far, "2026-01-06 10:00:00.25"]
    events = pd.DataFrame({"user_id": 1, "item_id": [1, 2, 3, 4], "time": times})
    if end == "parquet":
        events.assign(time=pd.array(times, dtype="datetime64[us]")).to_parquet(tmp_path / "e.parquet")
    else:
        events.to_csv(tmp_path / "e.csv", index=False)
    described = {"files": {"events": {"path": f"e.{end}", "zone": zone}}}
    (tmp_path / "schema.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=rf"events.time, row 2, is '{far}': a moment from 1653 to 2286"):
        Dataset.from_folder(tmp_path)


def test_moments_with_a_zone_are_named_in_any_year(tmp_path: Path) -> None:
    """As a database writes an infinite one: in the year 294247."""
    far = pd.array([1_700_000_000, 9_223_371_331_200], dtype="int64").astype("datetime64[s]")
    times = pd.Series(far).dt.tz_localize("UTC").astype("datetime64[us, UTC]")
    pd.DataFrame({"user_id": 1, "item_id": [1, 2], "time": times}).to_parquet(tmp_path / "events.parquet")
    (tmp_path / "schema.json").write_text("{}")
    with pytest.raises(DataError, match=r"events.time, row 1, is '294247-01-02 00:00:00': a moment"):
        Dataset.from_folder(tmp_path)
