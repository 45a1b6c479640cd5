"""A whole bundle from files: truth values, numbers as categories, ids of any length, up to the answer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel import config as configs
from funnel.artifacts import Store
from funnel.data import Dataset
from funnel.errors import DataError
from funnel.pipeline import prepare, train_towers
from tests.undrawn import build

from .processes import ok, refused

LONG = "x" * 2000
T = 1_700_000_000
SCHEMA = {
    "users": [{"name": "level", "kind": "category"}],
    "items": [
        {"name": "active", "kind": "boolean"},
        {"name": "sold", "kind": "category"},
        {"name": "stars", "kind": "category"},
        {"name": "tags", "kind": "multi_category"},
    ],
}
CONFIG = """name = "door"
[data]
reader = "folder"
[split]
protocol = "event"
ranker = 0.6
test = 0.8
[towers]
d = 8
layers = 1
heads = 1
epochs = 1
history = 10
[ranker]
trees = 5
leaves = 4
[retrieve]
k = 20
[evaluate]
ks = [5]
latency_requests = 2
"""


def write(folder: Path, *, unit: int = 1, late: int = 0) -> Path:
    """60 users and 30 items; one user's id is long."""
    rng = np.random.default_rng(0)
    users = [*(f"user-{number}" for number in range(59)), LONG]
    events = [
        (user, 100 + int(item), (T + 1000 * number + step) * unit)
        for number, user in enumerate(users)
        for step, item in enumerate(rng.choice(30, 8, replace=False))
    ]
    number = np.arange(100, 130)
    active = pd.array(number % 2 == 0, dtype="boolean")
    active[29] = pd.NA
    items = {
        "item_id": number,
        "active": active,
        "sold": number % 3 == 0,
        "stars": np.array([1.5, 3.0, np.nan])[number % 3],
        "tags": [["a", "b"] if one % 2 else ["b"] for one in number],
    }
    folder.mkdir()
    table = pd.DataFrame(events, columns=["user_id", "item_id", "time"])
    table.loc[3, "time"] += late
    table.to_parquet(folder / "events.parquet")
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    level = np.array([0.5, 1.0, 2.0])[np.arange(60) % 3]
    pd.DataFrame({"user_id": users, "level": level}).to_csv(folder / "users.csv", index=False)
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("door")
    (root / "door.toml").write_text(CONFIG)
    prepared = prepare(configs.load(root / "door.toml", data=str(write(root / "data"))))
    towers = train_towers(prepared, Store(root / "embeddings"))
    built = build(prepared, towers, Store(root / "indexes"))
    Store(root / "indexes").publish(built.version)
    return root / "indexes"


@pytest.fixture
def live(store: Path) -> Any:
    one = Live(store)
    yield one
    one.close()


def shown(live: Live, **where: Any) -> list[int]:
    return sorted(item.item_id for item in live.recommend("nobody", 200, where=where).items)


def test_a_filter_finds_truth_values_and_numbers_as_what_they_are(live: Live, store: Path) -> None:
    assert shown(live, active=True) == list(range(100, 130, 2))
    assert shown(live, active=False) == list(range(101, 129, 2))
    assert shown(live, sold=True) == shown(live, sold="true") == list(range(102, 130, 3))
    assert shown(live, stars=3.0) == shown(live, stars="3") == [n for n in range(100, 130) if n % 3 == 1]
    assert live.recommend("nobody", 30).items[0].attributes["active"] in (True, False, None)
    for where in ("active=true", "sold=True"):
        said = ok("recommend", "nobody", "-k", 200, "--where", where, "--store", store, "--json")
        column = where.split("=")[0]
        assert sorted(item["item_id"] for item in json.loads(said)["items"]) == shown(live, **{column: True})


def test_an_item_that_is_added_has_the_values_of_the_table(live: Live) -> None:
    items = pd.DataFrame(
        {
            "item_id": [901, 902],
            "active": pd.Series([np.True_, None], dtype=object),
            "sold": [True, False],
            "stars": [3.0, 3.0],
            "tags": ["a|b", "b"],
        }
    )
    live.items.upsert(items)
    assert 901 in shown(live, active=True)
    assert 902 not in [*shown(live, active=True), *shown(live, active=False)]
    assert {901, 902} <= set(shown(live, stars=3))
    assert {901} == set(shown(live, sold=True)) & {901, 902}
    live.items.delete([901, 902])


def test_what_is_given_with_a_request_is_what_the_table_says(live: Live) -> None:
    users = live.contents.users
    known = users.features["level"][users.ids.rows(["user-1", "user-2", "user-0"])]
    given = users.features_of([-1, -1, -1], [{"level": 1}, {"level": 2.0}, {"level": "0.50"}])["level"]
    assert given[:2].tolist() == known[:2].tolist()
    assert (known > 0).all()


def test_a_long_id_is_an_id_as_any_other_and_takes_its_own_length(live: Live, store: Path) -> None:
    assert live.history(LONG)
    assert live.recommend(LONG, 3).reasons == live.recommend("user-1", 3).reasons
    assert "unknown_user" in live.recommend(LONG[:-1], 3).reasons
    path = Store(store).path("current") / "users" / "ids.npy"
    assert path.stat().st_size < 2000 + 60 * 30


def test_items_may_have_text_ids_of_any_length(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    for table in ("events", "items"):
        frame = pd.read_parquet(folder / f"{table}.parquet")
        ids = frame["item_id"].map(lambda number: "i" * 2000 if number == 104 else f"i{number}")
        frame.assign(item_id=ids).to_parquet(folder / f"{table}.parquet")
    (tmp_path / "door.toml").write_text(CONFIG)
    places = ["--embeddings", tmp_path / "embeddings", "--store", tmp_path / "indexes"]
    ok("build", tmp_path / "door.toml", "--data", folder, *places)
    ok("publish", "--store", tmp_path / "indexes", "--force")
    live = Live(tmp_path / "indexes")
    new = {"active": [True], "sold": [True], "stars": [3.0], "tags": ["a"]}
    live.items.upsert(pd.DataFrame({"item_id": ["n" * 3000], **new}))
    found = [item.item_id for item in live.recommend("nobody", 200, where={"active": True}).items]
    assert sorted(found) == sorted(
        [*(f"i{n}" for n in range(100, 130, 2) if n != 104), "i" * 2000, "n" * 3000]
    )
    live.close()
    ok("recommend", "--all", "-k", 2, "--store", tmp_path / "indexes", "--output", tmp_path / "all.parquet")
    lists = pd.read_parquet(tmp_path / "all.parquet")
    assert set(lists["user_id"]) == {*(f"user-{number}" for number in range(59)), LONG}
    assert lists["item_id"].str.startswith(("i", "n")).all()


@pytest.mark.parametrize("command", ["train", "build"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": 1000}, "look like milliseconds"),
        ({"late": int(time.time()) - T + 7 * 86_400}, "in the future"),
    ],
)
def test_times_that_cannot_be_are_refused_before_training(
    tmp_path: Path, command: str, change: dict[str, int], message: str
) -> None:
    (tmp_path / "door.toml").write_text(CONFIG)
    places = ["--embeddings", tmp_path / "embeddings"]
    places += ["--store", tmp_path / "indexes"] if command == "build" else []
    data = write(tmp_path / "data", **change)
    assert message in refused(command, tmp_path / "door.toml", "--data", data, *places)
    assert not list(tmp_path.glob("embeddings/*/manifest.json"))


def test_the_table_is_the_same_from_csv(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    items = pd.read_parquet(folder / "items.parquet")
    (folder / "items.parquet").unlink()
    items.assign(tags=items["tags"].map("|".join)).to_csv(folder / "items.csv", index=False)
    assert Dataset.from_folder(folder).checksum() == Dataset.from_folder(write(tmp_path / "other")).checksum()
    (folder / "users.csv").write_text("user_id,level\n1,2\n")
    with pytest.raises(DataError, match="users has a row for only 0 of the 60 users"):
        Dataset.from_folder(folder)
