"""Files as other programs leave them: each value is what it was in its file, or it is refused by name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel.data import Column, Dataset, Schema
from funnel.errors import DataError

BIG = 1_732_412_345_678_901_234
SCHEMA = Schema(
    events=(Column(name="rating", kind="number"),),
    items=(
        Column(name="title", kind="text"),
        Column(name="price", kind="number"),
        Column(name="advertiser", kind="category"),
        Column(name="tags", kind="multi_category"),
        Column(name="active", kind="boolean"),
    ),
    users=(Column(name="country", kind="category"),),
)


def table(*users: Any, **columns: Any) -> pa.Table:
    n = len(users)
    return pa.table({"user_id": list(users), "item_id": [1] * n, "time": list(range(n)), **columns})


def written(folder: Path, **tables: pa.Table | str) -> Path:
    """A file each; `events__part` is a part of the folder `events`."""
    for name, content in tables.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.with_suffix(".csv").write_text(content)
        else:
            pq.write_table(content, path.with_suffix(".parquet"))
    return folder


def read(folder: Path) -> Dataset:
    return Dataset.from_folder(folder, SCHEMA)


def test_a_gap_changes_no_figure_of_a_column_or_a_list(tmp_path: Path) -> None:
    items = pa.table(
        {
            "item_id": [1, 2, 3],
            "advertiser": pa.array([BIG, BIG + 1, None], pa.int64()),
            "tags": pa.array([[BIG, BIG + 1], [BIG + 1, None], None], pa.list_(pa.int64())),
            "active": pa.array([True, None, False]),
        }
    )
    found = read(written(tmp_path, events=table(1, 2), items=items)).items
    assert found["advertiser"].tolist()[:2] == [str(BIG), str(BIG + 1)]
    assert found["tags"].tolist() == [[str(BIG), str(BIG + 1)], [str(BIG + 1)], []]
    assert found["active"].isna().tolist() == [False, True, False]
    assert found["active"].tolist()[::2] == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        pa.array([5.0]), pa.array([5], pa.int32()), pa.array([5], pa.uint64()), pa.array([5], pa.uint8()),
        pa.array(["5"]), pa.array(["5.0"]), pa.array(["5"]).dictionary_encode(),
        pa.array([Decimal("5.00")]),
    ],
)  # fmt: skip
def test_parts_of_another_type_do_not_change_the_ids_of_the_others(tmp_path: Path, other: pa.Array) -> None:
    part = pa.table({"user_id": other, "item_id": [1], "time": [9]})
    found = read(written(tmp_path, events__a=table(BIG, BIG + 1), events__b=part))
    assert sorted(map(int, found.user_ids)) == [5, BIG, BIG + 1]


def test_a_number_beyond_64_bits_is_exact_and_a_float_that_lost_figures_is_refused(
    tmp_path: Path,
) -> None:
    beyond = pa.table({"user_id": pa.array([2**63], pa.uint64()), "item_id": [1], "time": [9]})
    found = read(written(tmp_path / "a", events__a=table(BIG, BIG + 1), events__b=beyond))
    assert found.user_ids.tolist() == [str(BIG), str(BIG + 1), str(2**63)]
    assert found.user_vocabulary.rows([BIG + 1, 2**63, 2**64]).tolist() == [1, 2, -1]
    lost = pa.table({"user_id": [float(BIG)], "item_id": [1], "time": [9]})
    with pytest.raises(DataError, match=r"events.user_id holds .* in row 2: a float of 2\*\*53"):
        read(written(tmp_path / "b", events__a=table(BIG, BIG + 1), events__b=lost))


def test_moments_of_any_unit_are_seconds(tmp_path: Path) -> None:
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "Europe/Berlin"):
            times = (
                pa.array([1_700_000_000, 1_700_000_001])
                .cast(pa.timestamp("s"))
                .cast(pa.timestamp(unit, zone))
            )
            events = pa.table({"user_id": [1, 2], "item_id": [1, 1], "time": times})
            found = read(written(tmp_path / f"{unit}{zone}", events=events))
            assert found.events["time"].tolist() == [1_700_000_000, 1_700_000_001]
    parts = {
        f"events__{unit}": pa.table(
            {"user_id": [1], "item_id": [1], "time": pa.array([60]).cast(pa.timestamp(unit))}
        )
        for unit in ("s", "ms")
    }
    assert read(written(tmp_path / "parts", **parts)).events["time"].tolist() == [0, 60]


def test_a_folder_with_the_name_of_a_file_and_folders_by_day(tmp_path: Path) -> None:
    (tmp_path / "events.parquet" / "date=2024-01-01" / "country=D%20E").mkdir(parents=True)
    (tmp_path / "events.parquet" / "date=2024-01-02").mkdir()
    written(tmp_path, **{
        "events.parquet__date=2024-01-01__country=D%20E__part-0": table(1),
        "events.parquet__date=2024-01-02__part-0": table(2),
        "events.parquet__old": table(3),
    })  # fmt: skip
    for hidden in ("_SUCCESS", "._part-0.parquet", ".part-0.parquet.crc", "_temporary/part-9.parquet"):
        path = tmp_path / "events.parquet" / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no part")
    schema = Schema(events=(Column(name="date", kind="category"), Column(name="country", kind="category")))
    found = Dataset.from_folder(tmp_path, schema).events.sort_values("user_id")
    assert found["user_id"].tolist() == [1, 2, 3]
    assert found["date"].tolist()[:2] == ["2024-01-01", "2024-01-02"]
    assert found["date"].isna().tolist() == [False, False, True]
    assert found["country"].tolist()[:1] == ["D E"]


@pytest.mark.parametrize("strange", ["part-1.orc", "part-1.csv.gz", "date=1/part-1.json", "part-1.csv"])
def test_a_part_that_cannot_be_read_is_refused_by_name(tmp_path: Path, strange: str) -> None:
    written(tmp_path, events__a=table(1))
    (tmp_path / "events" / strange).parent.mkdir(exist_ok=True)
    (tmp_path / "events" / strange).write_text("user_id,item_id,time\n1,2,3\n")
    with pytest.raises(DataError, match=r"part-1|both Parquet and (CSV|JSON)"):
        read(tmp_path)


def test_a_table_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    written(tmp_path, events__a=table(1), events=table(2))
    with pytest.raises(DataError, match=r"events is there more than once: .*events, .*events.parquet"):
        read(tmp_path)
    (tmp_path / "events.parquet").rename(tmp_path / "events.csv.gz")
    with pytest.raises(DataError, match="more than once"):
        read(tmp_path)


def test_a_part_of_a_struct_that_is_a_name_too_is_refused(tmp_path: Path) -> None:
    strange = table("a", **{"ctx.os": ["ios"], "ctx": [{"os": "ios"}]})
    with pytest.raises(DataError, match=r"events.parquet has columns of the same name: 'ctx.os'"):
        read(written(tmp_path, events=strange))


def test_a_part_without_a_key_is_refused_and_one_without_a_column_has_gaps(tmp_path: Path) -> None:
    written(tmp_path, events__a=table(1, rating=[4]), events__b=table(2))
    assert read(tmp_path).events["rating"].isna().tolist() == [False, True]
    written(tmp_path, events__c=table(3).drop_columns("time"))
    with pytest.raises(DataError, match=r"c.parquet has no column 'time', which other parts of events have"):
        read(tmp_path)


@pytest.mark.parametrize(
    "rows",
    [
        "item_id,title,price\n301,Mug,9.5,\n302,Pen,3,\n",
        "item_id,title,price\n301,Mug, large,9.5\n302,Pen,blue,3\n",
        "item_id,title,price\n301,Mug,9.5\n302,Pen\n",
        "item_id,title,title\n301,Mug,9.5\n",
    ],
)
def test_a_row_that_does_not_fit_its_header_is_refused(tmp_path: Path, rows: str) -> None:
    events = "user_id,item_id,time\n1,301,1700000000\n2,302,1700000009\n"
    with pytest.raises(DataError, match=r"items.csv (cannot be read|has columns of the same name)"):
        read(written(tmp_path, events=events, items=rows))


def test_csv_as_spreadsheets_and_joins_leave_it(tmp_path: Path) -> None:
    found = read(
        written(
            tmp_path,
            events="\ufeffuser_id,item_id,time,\n1.0,301.0,1700000000,\n2.0,302.0,1700000009,\n",
            items='item_id,title,price,active\n301,"Mug, ""large""\nblue",9.5,true\n\n302,Pen,3,False\n',
            users="user_id,country\n1,DE\n2,FR\n",
        )
    )
    assert found.user_ids.tolist() == [1, 2]
    assert found.item_ids.tolist() == [301, 302]
    assert found.items["title"].tolist() == ['Mug, "large"\nblue', "Pen"]
    assert found.items["price"].tolist() == [9.5, 3.0]
    assert found.items["active"].tolist() == [True, False]
    assert not [note for note in found.notes if "added" in note]


def test_one_table_in_two_formats_is_one_table(tmp_path: Path) -> None:
    items = pa.table({"item_id": [1, 2, 3], "advertiser": [1.5, 3.0, None], "active": [True, False, None]})
    text = "item_id,advertiser,active\n1,1.5,True\n2,3.0,False\n3,,\n"
    a = read(written(tmp_path / "a", events=table(BIG, 2), items=items))
    b = read(written(tmp_path / "b", events=f"user_id,item_id,time\n{BIG},1,0\n2,1,1\n", items=text))
    assert a.checksum() == b.checksum()
    assert b.user_vocabulary.row(str(BIG)) == b.user_vocabulary.row(BIG) == 1
