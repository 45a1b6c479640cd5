"""Which file is which table, also where two could be, and where names say nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funnel.data import Dataset
from funnel.errors import DataError
from funnel.init import Guess, guess

from .shops import Shop, expected, guessed, kinds, save, shop, unused, who_what_when

SHOP = shop(n_events=600)


def paths(folder: Path) -> dict[str, str]:
    return {name: file.path for name, file in (guess(folder).description.files or {}).items()}


def lists(events: pd.DataFrame) -> pd.DataFrame:
    """Impressions: eight rows a list, three seconds apart as they come into view; the third is clicked."""
    times = pd.to_datetime(events["timestamp"])
    rows = [
        (
            f"q{number}",
            user,
            f"SKU-{(number + place) % 60:03d}",
            at + pd.Timedelta(seconds=3 * place),
            place + 1,
            int(place == 2),
        )
        for number, (user, at) in enumerate(zip(events["user_id"], times, strict=True))
        for place in range(8)
    ]
    names = ["request_id", "user_id", "item_id", "timestamp", "position", "clicked"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(timestamp=table["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_impressions_are_found_and_read(tmp_path: Path) -> None:
    save(lists(SHOP.events), SHOP.write(tmp_path) / "impressions.csv")
    _, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert data.impressions is not None
    assert len(data.impressions) == 8 * 600
    assert int(data.impressions["clicked"].sum()) == 600


def test_what_was_ingested_is_no_table_of_its_own(tmp_path: Path) -> None:
    SHOP.write(tmp_path)
    (tmp_path / "ingested" / "impressions").mkdir(parents=True)
    ingested = lists(SHOP.events).astype({"clicked": "bool"})
    ingested.to_parquet(tmp_path / "ingested" / "impressions" / "0.parquet")
    assert "impressions" not in paths(tmp_path)
    assert not any("ingested" in where for where in unused(guess(tmp_path)))


def test_impressions_alone_are_the_events_too(tmp_path: Path) -> None:
    save(lists(SHOP.events), tmp_path / "log.csv")
    _, data = guessed(tmp_path)
    assert len(data.events) == 600
    assert data.impressions is not None
    assert len(data.impressions) == 8 * 600


def numbered(table: pd.DataFrame, rows: int) -> list[str]:
    return [f"q{row // rows}" for row in range(len(table))]


BAD_LISTS = {
    "one name for two users": (lambda t: t.assign(request_id=numbered(t, 16)), "users"),
    "one name for a month": (lambda t: t.assign(request_id="v" + t["user_id"]), "over a day apart"),
    "no name": (lambda t: t.drop(columns="request_id"), "no column is request_id"),
    "a name a row": (lambda t: t.assign(request_id=numbered(t, 1)), "a list of its own"),
    "no position": (lambda t: t.drop(columns="position"), "no column is position"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LISTS)
def test_impressions_that_are_no_lists_are_left_out_and_listed(name: str, tmp_path: Path) -> None:
    change, why = BAD_LISTS[name]
    save(SHOP.events, tmp_path / "events.csv")
    save(change(lists(SHOP.events)), tmp_path / "impressions.csv")
    made, data = guessed(tmp_path)
    assert why in unused(made)["impressions.csv"]
    assert who_what_when(data) == expected(SHOP.events)
    assert data.impressions is None


@pytest.mark.parametrize("form", ["{0}|{1}", "['{0}', '{1}']", "{0},{1}"])
def test_several_ids_in_a_cell_are_unsure(form: str, tmp_path: Path) -> None:
    """A row an order: each combination would be an item of its own."""
    ids = SHOP.events["item_id"]
    orders = [form.format(*both) for both in zip(ids[::2], ids[1::2], strict=True)]
    save(SHOP.events[::2].assign(item_id=orders), tmp_path / "orders.csv")
    (item,) = [one for one in guess(tmp_path).findings if one.what == "item_id"]
    assert (item.sure, item.because.rpartition(": ")[2]) == (
        "unsure", "a cell is read as one id, write a row for each"
    )  # fmt: skip
    save(SHOP.events, tmp_path / "orders.csv")
    (item,) = [one for one in guess(tmp_path).findings if one.what == "item_id"]
    assert item.sure == "likely"


def test_tables_may_be_missing(tmp_path: Path) -> None:
    save(SHOP.events, tmp_path / "events.csv")
    made, data = guessed(tmp_path)
    assert {"users", "items"} <= set(unused(made))
    assert who_what_when(data) == expected(SHOP.events)


def test_of_two_files_for_one_table_one_is_taken_and_the_other_is_named(tmp_path: Path) -> None:
    SHOP.write(tmp_path)
    save(SHOP.items.head(40), tmp_path / "items_old.csv")
    save(SHOP.events.head(50), tmp_path / "sales.csv")
    made, data = guessed(tmp_path)
    assert "--table items=FILE" in unused(made)["items_old.csv"]
    assert "--table events=FILE" in unused(made)["sales.csv"]
    assert who_what_when(data) == expected(SHOP.events)
    (tmp_path / "schema.json").unlink()
    _, data = guessed(tmp_path, tables={"events": "sales.csv"})
    assert who_what_when(data) == expected(SHOP.events.head(50))


def test_columns_without_telling_names_are_found_by_their_values(tmp_path: Path) -> None:
    save(SHOP.events.set_axis(list("abcd"), axis=1), tmp_path / "data.csv")
    save(SHOP.items.rename(columns={"item_id": "x"}), tmp_path / "products.csv")
    save(SHOP.users.rename(columns={"user_id": "y"}), tmp_path / "customers.csv")
    made, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert {one.sure for one in made.findings if one.what in ("user_id", "item_id")} == {"unsure"}


def test_a_person_can_say_which_column_is_which(tmp_path: Path) -> None:
    save(SHOP.events.set_axis(list("abcd"), axis=1), tmp_path / "data.csv")
    with pytest.raises(
        DataError, match=r"no file is a log of events(.|\n)*--key user_id(.|\n)*data.csv: a, b, c, d"
    ):
        guess(tmp_path)
    _, data = guessed(tmp_path, keys={"user_id": "a", "item_id": "b", "time": "d"})
    assert who_what_when(data) == expected(SHOP.events)


@pytest.mark.parametrize(
    ("keys", "why"),
    [({"user_id": "nobody"}, "no file has a column 'nobody'"), ({"time": "c"}, "c holds no moments")],
)
def test_what_a_person_says_wrongly_is_refused(keys: dict[str, str], why: str, tmp_path: Path) -> None:
    save(SHOP.events.set_axis(list("abcd"), axis=1), tmp_path / "data.csv")
    with pytest.raises(DataError, match=why):
        guess(tmp_path, keys=keys)


def test_tables_whose_ids_events_do_not_name_are_not_used(tmp_path: Path) -> None:
    items = SHOP.items.assign(item_id=SHOP.items["item_id"].str.lower())
    made, data = guessed(SHOP.replace(items=items).write(tmp_path))
    assert "write the ids in the same way" in unused(made)["items.csv"]
    assert who_what_when(data) == expected(SHOP.events)


def test_columns_of_the_log_describe_items_that_have_no_file(tmp_path: Path) -> None:
    events = SHOP.events.merge(SHOP.items[["item_id", "category", "price"]], on="item_id")
    events = events.merge(SHOP.users[["user_id", "country"]], on="user_id").sort_values("timestamp")
    save(events, tmp_path / "export.csv")
    made, data = guessed(tmp_path)
    assert kinds(made, "items") == {"category": "category", "price": "number"}
    assert kinds(made, "users") == {"country": "category"}
    assert kinds(made, "events") == {}
    by_id = SHOP.items.set_index("item_id")["category"]
    assert data.items["category"].tolist() == by_id.loc[data.items["item_id"]].tolist()
    assert who_what_when(data) == expected(events)


def test_without_times_the_order_of_the_file_counts_and_that_is_unsure(tmp_path: Path) -> None:
    save(SHOP.events.drop(columns="timestamp").assign(time="12:30"), tmp_path / "events.csv")
    made, data = guessed(tmp_path)
    assert made.description.clock == "order"
    assert data.clock == "order"
    mine = SHOP.events[SHOP.events["user_id"] == "u3@shop"]["item_id"].tolist()
    assert data.events[data.events["user_id"] == "u3@shop"]["item_id"].tolist() == mine
    assert "it is no time" in unused(made)["events.time"]


def test_numbers_that_happen_to_be_in_both_do_not_make_a_table_of_users(tmp_path: Path) -> None:
    """As links from items to other catalogues are: their numbers are users' numbers too."""
    events = SHOP.events.assign(
        user_id=SHOP.events["user_id"].str.extract(r"(\d+)")[0],
        item_id=SHOP.events["item_id"].str.extract(r"(\d+)")[0].astype(int).astype(str),
    )
    items = SHOP.items.assign(item_id=[str(row) for row in range(len(SHOP.items))])
    save(events, tmp_path / "ratings.csv")
    save(items, tmp_path / "movies.csv")
    links = pd.DataFrame({"item_id": items["item_id"], "other": items["item_id"]})
    save(links, tmp_path / "links.csv")
    made, data = guessed(tmp_path)
    assert set(made.description.files or {}) == {"events", "items"}
    assert "links.csv" in unused(made)
    assert len(data.users) == 40


def test_an_export_of_orders_knows_people_by_their_address(tmp_path: Path) -> None:
    orders = SHOP.events.set_axis(["Email", "Lineitem sku", "Financial Status", "Created at"], axis=1)
    orders["Created at"] = pd.to_datetime(orders["Created at"]).dt.strftime("%Y-%m-%d %H:%M:%S +0000")
    save(orders, tmp_path / "orders_export_1.csv")
    _, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)


HOSTILE = {
    "an ending in capitals": ("Events2.CSV", b"a,b\n1,2\n", "small letters"),
    "empty": ("empty.csv", b"", "empty"),
    "a line of Excel's": (
        "excel.csv",
        b"\xef\xbb\xbfsep=;\r\na;b\r\n1;2\r\n",
        "begins with 'sep=;', which only Excel",
    ),
    "one column": ("list.csv", b"a\nb\nc\n", "one column only"),
    "no header": ("raw.csv", b"1,2026-01-01\n2,2026-01-02\n", "no header"),
    "two columns of one name": ("twice.csv", b"a,a,b\n1,2,3\n", "columns of the same name"),
    "not Parquet": ("bad.parquet", b"PAR1 nonsense", "cannot be read"),
    "a pack that is cut": ("old.csv.gz", b"\x1f\x8b", "cannot be read"),
    "a pack of something else": ("old.tar.gz", b"\x1f\x8b", "unpack it"),
    "a pack in capitals": ("Events2.CSV.GZ", b"\x1f\x8b", "name it Events2.csv.gz"),
    "no record a line": ("old.jsonl", b"[1, 2]\n", "line 1, is a list"),
    "a config": ("package.json", b'{"name": "shop"}', "an array of records is expected"),
    "a workbook": ("book.xlsx", b"PK", "save each sheet as CSV"),
    "noise": ("noise.csv", bytes(range(256)) * 40, ""),
    "something else": ("stock.csv", b"warehouse,shelves\nA,3\nB,4\n", "neither a log"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_are_no_table_are_named_and_do_no_harm(name: str, tmp_path: Path) -> None:
    path, content, why = HOSTILE[name]
    save(SHOP.events, tmp_path / "events.csv")
    (tmp_path / path).write_bytes(content)
    made, data = guessed(tmp_path)
    assert why in unused(made)[path]
    assert who_what_when(data) == expected(SHOP.events)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Guess, Dataset]:
    """Of the shop as it is written by default."""
    return guessed(SHOP.write(tmp_path_factory.mktemp("plain")))


def test_the_parts_of_structs_are_columns(plain: tuple[Guess, Dataset], tmp_path: Path) -> None:
    SHOP.write(tmp_path)
    for name in ("events", "items"):
        (tmp_path / f"{name}.csv").unlink()
        rows = getattr(SHOP, name).to_dict("records")
        keys = ("user_id", "item_id")
        nested = [
            {key: row[key] for key in keys if key in row}
            | {"more": {"of": {key: value for key, value in row.items() if key not in keys}}}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(nested), tmp_path / f"{name}.parquet")
    made, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert data.items["more.of.title"].tolist() == plain[1].items["title"].tolist()
    assert set(kinds(made, "items")) == {f"more.of.{name}" for name in kinds(plain[0], "items")}


@pytest.mark.parametrize("ending", ["jsonl", "ndjson.gz", "json", "csv.gz", "tsv.gz"])
def test_records_of_json_and_compressed_files_are_tables(
    ending: str, plain: tuple[Guess, Dataset], tmp_path: Path
) -> None:
    SHOP.write(tmp_path)
    for name in ("events", "items"):
        (tmp_path / f"{name}.csv").unlink()
        table, path = getattr(SHOP, name), tmp_path / f"{name}.{ending}"
        if "json" in ending:
            table.to_json(path, orient="records", lines=not ending.startswith("json.") and ending != "json")
        else:
            table.to_csv(path, index=False, sep="\t" if "tsv" in ending else ",")
    made, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)
    assert unused(made) == unused(plain[0])
    assert data.items["title"].tolist() == plain[1].items["title"].tolist()


def test_days_that_are_packed_are_one_table(tmp_path: Path) -> None:
    SHOP.write(tmp_path)
    (tmp_path / "events.csv").unlink()
    half = len(SHOP.events) // 2
    SHOP.events[:half].to_csv(tmp_path / "events-2026-01.csv.gz", index=False)
    SHOP.events[half:].to_csv(tmp_path / "events-2026-02.csv.gz", index=False)
    _, data = guessed(tmp_path)
    assert who_what_when(data) == expected(SHOP.events)


def test_names_of_columns_that_mean_something_else_here(tmp_path: Path) -> None:
    events = SHOP.events.assign(
        time="noon", split="left", **{"[red]": "1", 'a,"b': "2", "n\nl": "3", " ": "4"}
    )
    events = events.rename(columns={"timestamp": "happened at", "user_id": " user id "})
    made, data = guessed(SHOP.replace(events=events).write(tmp_path))
    assert who_what_when(data) == expected(SHOP.events)
    assert {"events.time", "events.split", "events.[red]", "events.n\nl"} <= set(unused(made))


def test_rows_of_other_lengths_are_told(tmp_path: Path) -> None:
    text = (SHOP.write(tmp_path) / "events.csv").read_text()
    (tmp_path / "events.csv").write_text(text + "u1,SKU-001\n")
    made = guess(tmp_path)
    assert any("2 fields where the header has 4" in one.why for one in made.unused)


def test_a_folder_with_several_tables_in_it_is_named(tmp_path: Path) -> None:
    Shop.write(SHOP, tmp_path / "export")
    with pytest.raises(DataError, match="export holds several tables"):
        guess(tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_nothing_to_look_at(place: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=place):
        guess(tmp_path / place)
