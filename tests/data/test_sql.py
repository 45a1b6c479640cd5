"""Tables of databases: the same data set as from files, and `funnel init` of a URL."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from funnel import config as configs
from funnel.data import DataConfig, Dataset, database, read
from funnel.data.readers import read_sql
from funnel.errors import ConfigError, DataError, FunnelError
from funnel.init import guess, guess_database, write
from funnel.pipeline.run.sources import moment
from tests.init.shops import shop
from tests.processes import funnel
from tests.servers import postgres_server

sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")

SCHEMA = {
    "clock": "time",
    "items": [
        {"name": "price", "kind": "number"},
        {"name": "tags", "kind": "multi_category"},
        {"name": "picture", "kind": "vector", "size": 2},
        {"name": "active", "kind": "boolean"},
    ],
}
QUERIES = {
    "events": "SELECT who AS user_id, item_id, moment AS time, kind FROM clicks WHERE kind <> 'bot%' ;"
}
QUERIES["items"] = 'SELECT * FROM "Products"'


def rows(n: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "who": [f"ü{user}" for user in rng.integers(8, size=n)],
            "item_id": rng.integers(1, 7, size=n),
            "moment": 1_700_000_000 + np.arange(n) * 60,
            "kind": rng.choice(["view", "buy"], size=n),
        }
    )
    items = pd.DataFrame(
        {
            "item_id": range(1, 7),
            "price": [1.5, None, 2.25, 3.0, 4.0, 5.0],
            "tags": ["a|b", "a", None, "b", "c|a", "c"],
            "picture": ["1|2", "3|4", None, "5|6", "7|8", "9|10"],
            "active": [1, 0, None, 1, 1, 0],
        }
    )
    return events, items


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "duckdb", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with `clicks` and `Products`."""
    if request.param == "duckdb":
        pytest.importorskip("duckdb_engine", reason="DuckDB's driver for SQLAlchemy is not installed")
        where = f"duckdb:///{tmp_path / 'shop.duckdb'}"
    elif request.param == "postgres":
        where = request.getfixturevalue("postgres").replace("postgresql://", "postgresql+psycopg://")
    else:
        where = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    events, items = rows()
    engine = sqlalchemy.create_engine(where)
    events.to_sql("clicks", engine, index=False, if_exists="replace")
    items.astype({"price": object}).to_sql("Products", engine, index=False, if_exists="replace")
    engine.dispose()
    return where.replace("+psycopg", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "schema.json").write_text(json.dumps(SCHEMA))
    return tmp_path / "shop"


def from_files(folder: Path) -> Dataset:
    events, items = rows()
    events.rename(columns={"who": "user_id", "moment": "time"}).to_parquet(folder / "events.parquet")
    items.to_parquet(folder / "items.parquet")
    return Dataset.from_folder(folder)


def hidden(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the password in the environment."""
    monkeypatch.setenv("SHOP_PASSWORD", "pa55w0rd")
    return url.replace("pa55w0rd", "${SHOP_PASSWORD}")


def test_the_same_data_as_from_files(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHUNK", 7)  # several chunks, one of them not full
    config = DataConfig(
        reader="sql", path=str(folder), options={"url": hidden(url, monkeypatch), "queries": dict(QUERIES)}
    )
    data = read(config)
    expected = from_files(folder)
    assert data.checksum() == expected.checksum()
    assert (data.name, len(data.events)) == ("shop", 40)


def test_rows_are_held_a_chunk_at_a_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CHUNK", 7)
    with database.Database(hidden(url, monkeypatch))() as opened:
        sizes = [len(table) for table in opened.chunks("SELECT * FROM clicks", "events")]
        assert sizes == [7, 7, 7, 7, 7, 5]
        none = list(opened.chunks("SELECT who FROM clicks WHERE item_id > 99", "events"))
        assert [(table.column_names, len(table)) for table in none] == [(["who"], 0)]
        assert opened.count("Products") == 6
        assert {"clicks", "Products"} <= set(opened.tables())


def test_values_that_change_their_type(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's columns have none: one id is a text, and the others become texts as in any file."""
    monkeypatch.setattr(database, "CHUNK", 2)
    with sqlite3.connect(tmp_path / "odd.sqlite") as file:
        file.execute("CREATE TABLE clicks (user_id, item_id, time)")
        ids = [7, 7, "B7", 8, 9, 2**62]
        file.executemany(
            "INSERT INTO clicks VALUES (?, ?, ?)", [(u, 1, 1_700_000_000 + n) for n, u in enumerate(ids)]
        )
    data = read_sql(
        folder, url=f"sqlite:///{tmp_path / 'odd.sqlite'}", queries={"events": "SELECT * FROM clicks"}
    )
    assert data.events["user_id"].tolist() == ["7", "7", "B7", "8", "9", str(2**62)]


def test_types_of_postgres(postgres: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlalchemy.create_engine(postgres.replace("://", "+psycopg://", 1)).begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS typed AS SELECT gen_random_uuid() AS user_id, "
            "n::numeric(9, 2) AS item_id, "
            "'2024-03-01 12:00+02'::timestamptz + n * interval '1 day' AS time "
            "FROM generate_series(1, 5) n"
        )
        connection.exec_driver_sql(
            "CREATE TABLE IF NOT EXISTS goods AS SELECT n AS item_id, n * 1.10::numeric AS price, "
            "ARRAY['a', 'b'] AS tags, ARRAY[n, 0.5]::float4[] AS picture, mod(n, 2) = 0 AS active "
            "FROM generate_series(1, 5) n"
        )
    queries = {"events": "SELECT * FROM typed", "items": "SELECT * FROM goods"}
    data = read_sql(folder, url=hidden(postgres, monkeypatch), queries=queries)
    assert data.events["item_id"].tolist() == [1, 2, 3, 4, 5]
    assert data.events["time"].iloc[0] == pd.Timestamp("2024-03-02 10:00", tz="UTC").timestamp()
    assert data.items["price"].tolist() == [float(n * Decimal("1.10")) for n in range(1, 6)]
    assert data.items["tags"].iloc[0] == ["a", "b"]
    assert data.items["picture"].iloc[2].tolist() == [3.0, 0.5]
    assert data.items["active"].tolist() == [False, True, False, True, False]
    assert len(data.events["user_id"].iloc[0]) == 36


def test_nothing_is_written(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for query in ("DELETE FROM clicks", "DROP TABLE clicks"):
        with pytest.raises(DataError, match="query of events"):
            read_sql(folder, url=hidden(url, monkeypatch), queries={"events": query})
    assert len(read_sql(folder, url=hidden(url, monkeypatch), queries=QUERIES).events) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": {"events": "SELECT * FROM nowhere"}}, "does not answer the query of events: .*nowhere"),
        ({"queries": {"event": "SELECT 1"}}, "names 'event'; did you mean 'events'"),
        ({"queries": {"items": "SELECT 1"}}, "none of events"),
        ({"queries": {"events": "SELECT who, who FROM clicks"}}, "columns of the same name: who"),
        ({"queries": {"events": "SELECT who AS user_id FROM clicks"}}, "item_id"),
        ({"url": "sqlite:////nowhere/shop.sqlite"}, "there is no file /nowhere/shop.sqlite"),
        ({"url": "shop.sqlite"}, "'shop.sqlite' is no URL of a database"),
        ({"url": "postgresql://me:${NOT_SET}@127.0.0.1:1/db"}, "variable NOT_SET, which is not set"),
        ({"url": "postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/db"}, "cannot be reached"),
        ({"url": "postgresql://me:s3same@127.0.0.1:1/db"}, "holds a password.*FUNNEL_SQL_PASSWORD"),
        ({"url": "postgresql://me@127.0.0.1:1/db?password=s3same"}, "holds a password"),
        ({"url": "nosuch://host/db"}, "not installed"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3same")
    rows()[0].to_sql("clicks", f"sqlite:///{tmp_path / 'shop.sqlite'}", index=False)
    given = {"url": f"sqlite:///{tmp_path / 'shop.sqlite'}", "queries": QUERIES, **change}
    with pytest.raises(FunnelError, match=message) as error:
        read(DataConfig(reader="sql", path=str(folder), options=given))
    assert "s3same" not in str(error.value)


def test_a_folder_without_a_schema_and_options_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="funnel init URL"):
        read_sql(tmp_path, url="sqlite:///x", queries={"events": "SELECT 1"})
    with pytest.raises(ConfigError, match="url"):
        configs.configure("shop", data={"reader": "sql", "path": str(tmp_path)})


def filled(write_tables: Callable[[Any], None], url: str) -> str:
    engine = sqlalchemy.create_engine(url)
    write_tables(engine)
    engine.dispose()
    return url


def test_init_of_a_database_is_that_of_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = shop()

    def save(engine: Any) -> None:
        tables.events.iloc[:700].to_sql("events_2025", engine, index=False)
        tables.events.iloc[700:].to_sql("events_2026", engine, index=False)
        tables.items.to_sql("items", engine, index=False)
        tables.users.to_sql("users", engine, index=False)
        pd.DataFrame({"n": [1]}).to_sql("_alembic", engine, index=False)

    url = filled(save, f"sqlite:///{tmp_path / 'shop.sqlite'}")
    guessed, source = guess_database(url, tmp_path / "shop")
    tables.write(tmp_path / "export")
    same = guess(tmp_path / "export")
    assert guessed.description.schema_only() == same.description.schema_only()
    assert guessed.rows == same.rows
    assert source.queries["events"] == "SELECT * FROM events_2025 UNION ALL SELECT * FROM events_2026"
    assert "_alembic" in [left.where for left in guessed.unused]
    write(guessed, tmp_path / "shop.toml", data=str(tmp_path / "shop"), source=source)
    data = read(configs.load(tmp_path / "shop.toml").data)
    write(same, None, data="export")
    assert data.checksum() == Dataset.from_folder(tmp_path / "export").checksum()


def test_the_command_keeps_the_password_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    tables = shop()

    def save(engine: Any) -> None:
        for name in ("events", "items", "users"):
            getattr(tables, name).to_sql(name, engine, index=False, if_exists="replace")
        with engine.begin() as connection:
            for name in ("clicks", "Products", "typed", "goods"):
                connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}"')

    filled(save, postgres.replace("://", "+psycopg://", 1))
    done = funnel("init", postgres, "--config", "shop.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "shop.toml").read_text() + (tmp_path / "shop" / "schema.json").read_text()
    assert "pa55w0rd" not in written + done.stdout + done.stderr
    options = tomllib.loads((tmp_path / "shop.toml").read_text())["data"]["options"]
    assert "funnel:${FUNNEL_SQL_PASSWORD}@" in options["url"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="FUNNEL_SQL_PASSWORD, which is not set"):
        read(configs.load(Path("shop.toml")).data)
    monkeypatch.setenv("FUNNEL_SQL_PASSWORD", "pa55w0rd")
    assert len(read(configs.load(Path("shop.toml")).data).events) == len(tables.events)
    wrong = funnel("init", postgres.replace("pa55w0rd", quote("wr/ng")), "--config", "no.toml", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "cannot be reached" in " ".join(wrong.stderr.split())
    assert "wr/ng" not in wrong.stderr
    assert quote("wr/ng") not in wrong.stderr


def test_a_run_reads_a_database_anew(folder: Path) -> None:
    config = DataConfig(reader="sql", path=str(folder), options={"url": "sqlite:///x", "queries": QUERIES})
    assert moment(config) != moment(config)
    assert moment(DataConfig(reader="folder", path=str(folder))) == {}
