"""Records of JSON and compressed files: the same tables as from CSV and Parquet, or refused by their line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel.data import Column, Dataset, Schema, json_records
from funnel.errors import DataError

BIG = 1_732_412_345_678_901_234
T = 1_700_000_000
SCHEMA = Schema(
    items=(
        Column(name="title", kind="text"),
        Column(name="price", kind="number"),
        Column(name="tags", kind="multi_category"),
        Column(name="active", kind="boolean"),
        Column(name="face", kind="vector", size=2),
    ),
)
EVENTS = [{"user_id": user, "item_id": item, "time": T + user} for user, item in ((1, 7), (2, BIG), (3, 8))]
ITEMS: list[dict[str, Any]] = [
    {"item_id": 7, "title": "Käfer", "price": 3, "tags": ["a", "b"], "active": True, "face": [1, 2.5]},
    {"item_id": 8, "title": None, "price": 2.5, "tags": [], "active": None, "face": [3, 4]},
    {"item_id": BIG, "tags": ["b"], "active": False, "face": [5, 6]},
]


def lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def packed(content: bytes) -> bytes:
    """Two members behind each other, as `cat a.gz b.gz` makes them."""
    middle = len(content) // 2
    return gzip.compress(content[:middle]) + gzip.compress(content[middle:])


def array(records: list[Any]) -> bytes:
    return json.dumps(records).encode()


def written(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder.joinpath(*name.replace("_", ".").split("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def frames() -> Dataset:
    return Dataset.from_frames(SCHEMA, pd.DataFrame(EVENTS), items=pd.DataFrame(ITEMS))


@pytest.mark.parametrize("block", [1, 2, 100])
@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "jsonl_gz", "json", "json_gz"])
def test_records_are_the_table_that_they_say(
    ending: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_records, "_BLOCK", block)
    content = array if ending.startswith("json_") or ending == "json" else lines
    pack = packed if ending.endswith("gz") else bytes
    folder = written(
        tmp_path, **{f"events_{ending}": pack(content(EVENTS)), f"items_{ending}": pack(content(ITEMS))}
    )
    found = Dataset.from_folder(folder, SCHEMA)
    assert found.checksum() == frames().checksum()
    assert found.item_ids.tolist() == [7, 8, BIG]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "parts"])
def test_the_parts_of_a_record_in_a_record_are_columns(form: str, tmp_path: Path) -> None:
    nested = [
        {"user_id": 1, "item_id": 7, "time": T, "ctx": {"device": {"os": "ios"}, "page": 3}},
        {"user_id": 2, "item_id": 8, "time": T, "ctx": {"page": 4}, "more": {"a": [{"b": 1}]}},
        {"user_id": 3, "item_id": 7, "time": T, "ctx": {}},
    ]
    wanted = Schema(
        events=(Column(name="ctx.device.os", kind="category"), Column(name="ctx.page", kind="number"))
    )
    if form == "jsonl":
        written(tmp_path, events_jsonl=lines(nested))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(nested), tmp_path / "events.parquet", row_group_size=2)
    else:  # the second lacks a part that the first has
        (tmp_path / "events").mkdir()
        for number, some in enumerate((nested[:1], nested[1:])):
            pq.write_table(pa.Table.from_pylist(some), tmp_path / "events" / f"{number}.parquet")
    found = Dataset.from_folder(tmp_path, wanted)
    flat = pd.DataFrame(EVENTS).assign(item_id=[7, 8, 7], time=T)
    flat["ctx.device.os"], flat["ctx.page"] = ["ios", None, None], [3, 4, None]
    assert found.checksum() == Dataset.from_frames(wanted, flat).checksum()


@pytest.mark.parametrize("ending", ["json", "json_gz"])
def test_a_record_a_line_is_read_under_the_ending_of_arrays_too(ending: str, tmp_path: Path) -> None:
    pack = packed if ending.endswith("gz") else bytes
    content = pack(b"\xef\xbb\xbf\n" + lines(EVENTS))
    found = Dataset.from_folder(written(tmp_path, **{f"events_{ending}": content}), Schema())
    assert found.checksum() == Dataset.from_frames(Schema(), pd.DataFrame(EVENTS)).checksum()


def test_a_mark_blank_lines_and_other_constants(tmp_path: Path) -> None:
    first, last = b'{"user_id": 1, "item_id": 7, "time": 5}', b'{"user_id": 2, "item_id": 7, "time": 6}'
    content = b"\xef\xbb\xbf" + first + b"\r\n\n  \n" + last
    items = b'{"item_id": 7, "price": NaN}\n{"item_id": 8, "price": Infinity}\n'
    found = Dataset.from_folder(written(tmp_path, events_jsonl=content, items_jsonl=items), SCHEMA)
    assert found.user_ids.tolist() == [1, 2]
    assert found.items["price"].isna().tolist() == [True, False]


@pytest.mark.parametrize("block", [1, 100])
def test_no_value_is_changed_by_those_beside_it(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers beside fractions and beyond 64 bits, in a block with them and in another."""
    monkeypatch.setattr(json_records, "_BLOCK", block)
    schema = Schema(items=(Column(name="shop", kind="category"), Column(name="tags", kind="multi_category")))
    shops, tags = [BIG, 1.5, BIG + 1, 2**70, None], [[BIG], [BIG + 1, None], [], ["x"], [1.5]]
    events = [{"user_id": BIG + n, "item_id": n, "time": n} for n in range(5)]
    items = [{"item_id": n, "shop": shops[n], "tags": tags[n]} for n in range(5)]
    items = items[:3] if block == 100 else items  # lists of texts and of numbers are refused within a block
    folder = written(tmp_path, events_jsonl=lines(events), items_jsonl=lines(items))
    found = Dataset.from_folder(folder, schema)
    assert found.user_ids.tolist() == [BIG + n for n in range(5)]
    shown = found.items["shop"].tolist()
    assert shown[:3] == [str(BIG), "1.5", str(BIG + 1)]
    assert found.items["tags"].tolist()[:3] == [[str(BIG)], [str(BIG + 1)], []]


GOOD = lines(EVENTS)
WRONG: dict[str, tuple[str, bytes, str]] = {
    "half a line": ("events_jsonl", GOOD[:-20], r"line 3, is no JSON"),
    "a list among records": ("events_jsonl", GOOD + b"[1, 2]\n", r"line 4, is a list: a record is expected"),
    "a number among records": ("events_jsonl", b"7\n" + GOOD, r"line 1, is a number"),
    "a text where numbers are": (
        "events_jsonl", GOOD + b'\n{"user_id": "x", "item_id": 7, "time": 1}\n',
        r"line 5: 'user_id' is a text, 'x', and it is a number in 1",
    ),
    "a truth value where numbers are": (
        "events_jsonl", GOOD + b'{"user_id": true, "item_id": 7, "time": 1}\n', r"line 4: .* a truth value",
    ),
    "a record in a record that is a name too": (
        "events_jsonl", b'{"a.b": 1, "user_id": 2, "a": {"b": 3}}\n', r"line 1: 'a.b' is there twice",
    ),
    "a mixed list": ("items_jsonl", b'{"item_id": 7, "tags": ["a", 1]}\n', r"line 1: 'tags' is a list"),
    "half a character": ("items_jsonl", b'{"item_id": 7, "title": "\\ud83d"}\n', "'title'.*half a char"),
    "no UTF-8": ("items_jsonl", b'{"item_id": 7, "title": "K\xe4fer"}\n', r"line 1, is no JSON"),
    "deep": ("events_jsonl", b"[" * 100_000, r"line 1, is no JSON"),
    "nothing": ("events_jsonl", b"\n\n", "holds no records"),
    "no array": ("events_json", b'{"user_id": 1}', "is a record: an array of records is expected"),
    "no array, in lines": ("events_json", b'{\n"user_id": 1}', "is a record: an array of records"),
    "half a line under .json": ("events_json", GOOD[:-20], r"line 3, is no JSON"),
    "records that are none": ("events_json", b"[1]", "record 1, is a number"),
    "a cut pack": ("events_jsonl_gz", gzip.compress(GOOD * 50)[:-12], "damaged or cut"),
    "a damaged pack": ("events_jsonl_gz", b"\x1f\x8b\x08\x00" + bytes(30), "damaged or cut"),
    "no pack": ("events_jsonl_gz", GOOD, "damaged or cut"),
    "a cut pack of CSV": (
        "events_csv_gz", gzip.compress(b"user_id,item_id,time\n" + b"1,7,5\n" * 900)[:-12], "cannot be read",
    ),
    "no pack of CSV": ("events_csv_gz", b"user_id,item_id,time\n1,7,5\n", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_named_by_file_and_line(kind: str, tmp_path: Path) -> None:
    name, content, message = WRONG[kind]
    if not name.startswith("events"):
        written(tmp_path, events_jsonl=GOOD)
    with pytest.raises(DataError, match=message) as caught:
        Dataset.from_folder(written(tmp_path, **{name: content}), SCHEMA)
    assert name.replace("_", ".") in str(caught.value)


def test_compressed_csv_is_csv_also_as_parts_beside_plain_ones(tmp_path: Path) -> None:
    header, rows = b"user_id,item_id,time\n", [b"1,7,5\n", b"2,8,6\n", b"3,007,7\n"]
    plain = Dataset.from_folder(written(tmp_path / "a", events_csv=header + b"".join(rows)), Schema())
    whole = written(tmp_path / "b", events_csv_gz=packed(header + b"".join(rows)))
    parts = written(
        tmp_path / "c",
        **{"events/1_csv_gz": packed(header + rows[0]), "events/2_csv": header + rows[1] + rows[2]},
    )
    for folder in (whole, parts):
        assert Dataset.from_folder(folder, Schema()).checksum() == plain.checksum()


def test_files_that_are_packed_or_lie_together_in_other_ways_are_refused(tmp_path: Path) -> None:
    for name in ("events.parquet.gz", "events.gz", "events.csv.zst", "events.csv.gz.gz"):
        folder = tmp_path / name
        written(folder)
        folder.mkdir()
        (folder / name).write_bytes(b"1")
        with pytest.raises(DataError, match=r"events|user_id"):
            Dataset.from_folder(folder, Schema())
    both = written(
        tmp_path / "both", **{"events/1_csv": b"user_id,item_id,time\n1,7,5\n", "events/2_jsonl": GOOD}
    )
    with pytest.raises(DataError, match="both CSV and JSON files"):
        Dataset.from_folder(both, Schema())
