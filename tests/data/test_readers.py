"""Each public format: what a reader makes of it, and what it says when a file is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from funnel import plugins
from funnel.data.readers import DataConfig, read
from funnel.data.readers.int_lists import read_int_lists
from funnel.errors import DataError

SharedData = Callable[[str], Path]


def put(folder: Path, **files: str) -> Path:
    """Write files; `ratings_csv` becomes ratings.csv."""
    for name, text in files.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text, encoding="utf-8")
    return folder


# --- lines of numbers -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(st.integers(0, 10**18 - 1), min_size=1, max_size=6), min_size=1, max_size=8),
    blank=st.sampled_from([" ", "\t", "  "]),
    end=st.sampled_from(["\n", "\r\n", " \n", "\n\n"]),
)
def test_int_lists_are_what_a_slow_reader_gives(
    tmp_path: Path, rows: list[list[int]], blank: str, end: str
) -> None:
    path = tmp_path / "lists.txt"
    path.write_text(end.join(blank.join(map(str, row)) for row in rows), newline="")
    keys, lists = read_int_lists(path)
    assert keys.tolist() == [row[0] for row in rows]
    assert [part.tolist() for part in map(lists.__getitem__, range(len(lists)))] == [row[1:] for row in rows]


@pytest.mark.parametrize(
    ("text", "line"),
    [("1 2\n3 x\n", 2), ("1 2\n\n3 4,5\n", 3), ("1 2\n-3 4\n", 2), ("1 " + "9" * 19, 1), ("1 2.5", 1)],
)
def test_a_line_that_is_not_numbers_is_named(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "Beauty.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"Beauty\.txt, line {line}: expected whole numbers"):
        read(DataConfig(reader="amazon_sequences", path=str(path)))


# --- Amazon sequences -------------------------------------------------------------------------------------


def test_sequences_keep_their_order_and_get_attributes(tmp_path: Path) -> None:
    put(tmp_path, Toys_txt="7 3 1 2\n9 1\n7 5\n", Toys_item2attributes_json='{"1": [4, 5], "8": [6]}')
    data = read(DataConfig(reader="amazon_sequences", path=str(tmp_path)))
    assert (data.name, data.clock) == ("Toys", "order")
    mine = data.events[data.events["user_id"] == 7].sort_values("time")
    assert mine["item_id"].tolist() == [3, 1, 2, 5]
    assert mine["time"].tolist() == [0, 1, 2, 3]
    attributes = data.items.set_index("item_id")["attributes"]
    assert attributes[1] == ["4", "5"]
    assert attributes[3] == []
    assert 8 in data.item_ids  # an item that nobody bought may still be recommended


def test_sequences_need_no_attributes(tmp_path: Path) -> None:
    data = read(DataConfig(reader="amazon_sequences", path=str(put(tmp_path, Toys_txt="1 2 3\n"))))
    assert data.schema.items == ()
    assert data.notes == ()


def test_a_folder_with_two_sequence_files_is_ambiguous(tmp_path: Path) -> None:
    put(tmp_path, A_txt="1 2\n", B_txt="1 2\n", SOURCE_txt="about\n")
    with pytest.raises(DataError, match=r"found A\.txt, B\.txt; give the file itself"):
        read(DataConfig(reader="amazon_sequences", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1": [2],\n "2": oops}', "line 2: not JSON"),
        ("[1]", "found a list"),
        ('{"1": 2}', "found '1': 2"),
    ],
)
def test_wrong_attributes_are_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, Toys_txt="1 2\n", Toys_item2attributes_json=text)
    with pytest.raises(DataError, match=message):
        read(DataConfig(reader="amazon_sequences", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("folder", "counts"),
    [("amazon-beauty", (198_502, 22_363, 12_101)), ("amazon-sports", (296_337, 35_598, 18_357))],
)
def test_real_sequences(shared_data: SharedData, folder: str, counts: tuple[int, int, int]) -> None:
    data = read(DataConfig(reader="amazon_sequences", path=str(shared_data(folder))))
    assert (len(data.events), len(data.users), len(data.items)) == counts
    assert data.items["attributes"].map(len).min() > 0
    assert data.notes == ()


# --- LightGCN ---------------------------------------------------------------------------------------------


def test_a_published_split_is_kept(tmp_path: Path) -> None:
    put(tmp_path, train_txt="0 5 6\n1 6\n2\n", test_txt="0 7\n1 \n")
    data = read(DataConfig(reader="lightgcn", path=str(tmp_path)))
    assert data.clock == "none"
    assert data.events["split"].value_counts().to_dict() == {"train": 3, "test": 1}
    assert data.user_ids.tolist() == [0, 1, 2]  # a user without an item is a user
    assert data.item_ids.tolist() == [5, 6, 7]


def test_both_parts_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test\.txt is not there; expected train\.txt, test\.txt"):
        read(DataConfig(reader="lightgcn", path=str(put(tmp_path, train_txt="0 1\n"))))


def test_real_gowalla(shared_data: SharedData) -> None:
    data = read(DataConfig(reader="lightgcn", path=str(shared_data("gowalla"))))
    assert data.events["split"].value_counts().to_dict() == {"train": 810_128, "test": 217_242}
    assert (len(data.users), len(data.items)) == (29_858, 40_981)


# --- Amazon with time stamps ------------------------------------------------------------------------------


def test_linked_tables_become_columns(tmp_path: Path) -> None:
    put(
        tmp_path,
        user_item_dat="1\t10\t5\t100\n2\t11\t2\t90\n2\t10\t4\t95\n",
        item_category_dat="10,0\n10,3\n11,1\n",
        item_brand_dat="10,7\n10,8\n",
        item_view_dat="11,10\n",
    )
    data = read(DataConfig(reader="amazon_timestamps", path=str(tmp_path)))
    assert data.events["time"].tolist() == [90, 95, 100]
    items = data.items.set_index("item_id")
    assert items.loc[10, "category"] == ["0", "3"]
    assert items.loc[10, "brand"] == "7"
    assert pd.isna(items.loc[11, "brand"])
    assert items.loc[11, "also_viewed"] == ["10"]
    rated = read(DataConfig(reader="amazon_timestamps", path=str(tmp_path), min_rating=4))
    assert rated.events["rating"].tolist() == [4.0, 5.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\t5\t100\n1\t2\t5\n", r"line 2: expected 4 fields \(user_id, item_id, rating, time\), found 3"),
        ("1\t2\t5\t100\t9\n", "line 1: expected 4 fields .* found 5"),
        ("1\t2\t5\t100\n\n1\tx\t5\t100\n", "line 3: item_id must be a whole number, found 'x'"),
        ("1\t2\tnan\t100\n", "line 1: rating must be a finite number, found 'nan'"),
        ("1\t2\tinf\t100\n", "line 1: rating must be a finite number, found 'inf'"),
        ("1\t2\t5\t99999999999999999999\n", "line 1: time must be a whole number"),
        ("", "expected 4 fields"),
    ],
)
def test_a_wrong_line_of_a_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    put(tmp_path, user_item_dat=text)
    with pytest.raises(DataError, match=rf"user_item\.dat.*{message}"):
        read(DataConfig(reader="amazon_timestamps", path=str(tmp_path)))


def test_real_amazon_timestamps(shared_data: SharedData) -> None:
    data = read(DataConfig(reader="amazon_timestamps", path=str(shared_data("amazon-timestamps"))))
    assert (len(data.events), len(data.users), len(data.items)) == (195_791, 6_170, 2_753)
    years = pd.to_datetime(data.events["time"], unit="s").dt.year
    assert (years.min(), years.max()) == (1998, 2014)


# --- MovieLens --------------------------------------------------------------------------------------------

CSV = {
    "ratings_csv": "userId,movieId,rating,timestamp\n1,3,4.0,20\n1,2,2.5,10\n",
    "movies_csv": "movieId,title,genres\n"
    '2,"Amelie, La (2001)",Comedy|Romance\n3,Nameless,(no genres listed)\n',
}


def test_movielens_csv(tmp_path: Path) -> None:
    data = read(DataConfig(reader="movielens", path=str(put(tmp_path, **CSV))))
    assert data.events["rating"].tolist() == [2.5, 4.0]
    first, second = data.items.to_dict("records")
    assert (first["title"], first["year"], first["genres"]) == ("Amelie, La", 2001, ["Comedy", "Romance"])
    assert (second["title"], second["genres"]) == ("Nameless", [])
    assert np.isnan(second["year"])
    assert data.schema.users == ()


def test_movielens_1m(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::3::5::978300760\n2::3::4::978300761\n")
    (tmp_path / "movies.dat").write_bytes("3::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"))
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    data = read(DataConfig(reader="movielens", path=str(tmp_path)))
    assert data.items["title"].tolist() == ["Misérables, Les"]
    assert data.items["genres"].tolist() == [["Drama", "Musical"]]
    assert data.users["age"].tolist() == [1, 56]
    assert data.users["occupation"].tolist() == ["10", "16"]
    (tmp_path / "users.dat").unlink()  # as in 10M
    assert read(DataConfig(reader="movielens", path=str(tmp_path))).schema.users == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratings_csv": "userId,movieId,rating\n1,2,3\n"}, r"ratings\.csv, line 1: no column timestamp"),
        ({"ratings_csv": CSV["ratings_csv"] + "1,2,five,3\n"}, "line 4: rating must be a finite number"),
        ({"movies_csv": "movieId,title,genres\n2,A, B,C\n"}, r"movies\.csv, line 2: expected 3 fields"),
    ],
)
def test_a_wrong_line_of_a_csv_is_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    put(tmp_path, **(CSV | change))
    with pytest.raises(DataError, match=message):
        read(DataConfig(reader="movielens", path=str(tmp_path)))


def test_a_folder_without_movielens_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected ratings\.dat and movies\.dat \(1M, 10M\), or ratings\.csv"
    ):
        read(DataConfig(reader="movielens", path=str(tmp_path)))


def test_real_movielens(shared_data: SharedData) -> None:
    data = read(DataConfig(reader="movielens", path=str(shared_data("ml-latest-small"))))
    assert (len(data.events), len(data.users)) == (100_836, 610)
    assert data.events["item_id"].nunique() == 9_724
    assert data.items["year"].notna().mean() > 0.99


# --- trivago ----------------------------------------------------------------------------------------------

CONTEXT = {"platform": "DE", "device": "mobile", "city": "Bonn"}


def actions(**change: object) -> pd.DataFrame:
    rows = [
        ("b", 5, 1, "interaction item image", "12", None, None),
        ("b", 5, 2, "filter selection", "Resort", None, None),
        ("b", 9, 3, "clickout item", "12", "11|12|13", "70|80|90"),
        ("a", 7, 1, "clickout item", "99", "11|13", "60|65"),
        ("a", 6, 0, "search for item", "unknown", None, None),
    ]
    names = ["user_id", "timestamp", "step", "action_type", "reference", "impressions", "prices"]
    return pd.DataFrame(rows, columns=names).assign(**CONTEXT, **change)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_trivago_lists_and_history(tmp_path: Path, suffix: str) -> None:
    if suffix == "csv":
        actions().to_csv(tmp_path / "train.csv", index=False)
    else:
        actions().to_parquet(tmp_path / "train.parquet")
    (tmp_path / "item_metadata.csv").write_text("item_id,properties\n11,WiFi|Pool\n12,\n")
    data = read(DataConfig(reader="trivago", path=str(tmp_path)))
    assert data.events[["user_id", "item_id", "time", "action"]].to_numpy().tolist() == [
        ["b", 12, 5, "interaction item image"],
        ["a", 99, 7, "clickout item"],
        ["b", 12, 9, "clickout item"],
    ]
    shown = data.impressions
    assert shown is not None
    lists = dict(list(shown.groupby("user_id")))
    assert lists["b"]["item_id"].tolist() == [11, 12, 13]
    assert lists["b"]["position"].tolist() == [0, 1, 2]
    assert lists["b"]["clicked"].tolist() == [False, True, False]
    assert lists["b"]["price"].tolist() == [70, 80, 90]
    assert not lists["a"]["clicked"].any()  # the click lay outside the list
    assert data.items.set_index("item_id")["properties"][11] == ["WiFi", "Pool"]
    assert any("1 actions left out" in note for note in data.notes)
    clickouts = read(DataConfig(reader="trivago", path=str(tmp_path), interactions=False))
    assert clickouts.events["action"].unique().tolist() == ["clickout item"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prices": [None, None, "70|80", "60|65", None]}, "user b at 9: impressions and prices must have"),
        ({"prices": [None, None, "70|80|x", "60|65", None]}, "must be numbers with"),
    ],
)
def test_a_wrong_list_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    actions(**change).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=message):
        read(DataConfig(reader="trivago", path=str(tmp_path / "train.parquet")))


def test_a_log_without_prices_is_refused(tmp_path: Path) -> None:
    actions().drop(columns="prices").to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: no column prices"):
        read(DataConfig(reader="trivago", path=str(tmp_path)))


def test_real_trivago(shared_data: SharedData) -> None:
    data = read(DataConfig(reader="trivago", path=str(shared_data("trivago-100k"))))
    assert data.impressions is not None
    lists = data.impressions.groupby("request_id")
    assert len(lists) == 13_597
    assert lists["clicked"].sum().max() == 1
    assert lists["clicked"].sum().mean() > 0.99
    assert data.impressions["price"].gt(0).all()
    assert (data.events["action"] == "clickout item").sum() <= 13_597


# --- the config -------------------------------------------------------------------------------------------


def test_every_reader_is_reached_by_its_name(tmp_path: Path) -> None:
    folder = put(tmp_path, events_csv="user_id,item_id,time\na,x,1\nb,y,2\n", schema_json=json.dumps({}))
    assert len(read(DataConfig(reader="folder", path=str(folder))).events) == 2
    assert set(plugins.names("reader", own=True)) == {
        *("movielens_100k", "movielens", "amazon_sequences", "amazon_timestamps"),
        *("lightgcn", "trivago", "folder", "frames", "sql", "synthetic"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reader": "movilens", "path": "x"}, "did you mean 'movielens'"),
        ({"reader": "lightgcn"}, "needs a `path`"),
        ({"reader": "lightgcn", "path": "x", "min_rating": 4}, "has no option `min_rating`"),
        ({"reader": "movielens", "path": "x", "interactions": False}, "has no option `interactions`"),
        ({"reader": "movielens", "path": "x", "rating": 4}, "Extra inputs"),
    ],
)
def test_a_config_that_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DataConfig(**options)
