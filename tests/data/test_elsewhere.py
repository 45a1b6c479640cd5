"""Folders of data on other file systems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from funnel import config as configs
from funnel.data import DataConfig, Dataset, read
from funnel.errors import DataError, FunnelError
from funnel.pipeline.run.sources import signature

EVENTS = pd.DataFrame(
    {"user_id": [1, 1, 2], "item_id": [5, 6, 5], "time": [1_700_000_000, 1_700_000_060, 1_700_000_120]}
)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "events" / "day=1").mkdir(parents=True)
    EVENTS.iloc[:2].to_parquet(folder / "events" / "day=1" / "a.parquet")
    EVENTS.iloc[2:].to_parquet(folder / "events" / "b.parquet")
    (folder / "schema.json").write_text(json.dumps({"clock": "time"}))
    (folder / ".hidden").write_text("nobody's")
    return folder


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, local: Path) -> Iterator[str]:
    if request.param == "file":
        yield local.as_uri()
        return
    system = fsspec.filesystem("memory")
    for path in local.rglob("*"):
        if path.is_file():
            system.pipe_file(f"/bucket/shop/{path.relative_to(local)}", path.read_bytes())
    yield "memory://bucket/shop"
    system.rm("/bucket", recursive=True)


def test_a_folder_at_a_url_is_the_folder(url: str, local: Path) -> None:
    data = read(DataConfig(reader="folder", path=url))
    assert data.checksum() == Dataset.from_folder(local).checksum()
    assert data.name == "shop"
    assert configs.configure("shop", data={"reader": "folder", "path": url}).data.path == url


def test_a_run_sees_what_changed(url: str) -> None:
    config = DataConfig(reader="folder", path=url)
    before = signature(config)
    assert sorted(before) == ["events/b.parquet", "events/day=1/a.parquet", "schema.json"]
    assert signature(config) == before
    system, root = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{root}/events/b.parquet", system.cat_file(f"{root}/events/day=1/a.parquet"))
    assert signature(config) != before


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://bucket/nowhere", "holds no files"),
        ("nosuch://bucket/shop", "cannot be opened"),
        ("ftp://me:s3same@127.0.0.1:1/shop", "holds a password"),
    ],
)
def test_what_is_wrong_is_said(url: str, message: str) -> None:
    with pytest.raises((DataError, FunnelError), match=message) as error:
        read(DataConfig(reader="folder", path=url))
    assert "s3same" not in str(error.value)


def test_a_file_at_a_url(local: Path) -> None:
    ratings = local.parent / "ml"
    ratings.mkdir()
    (ratings / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,2,4.0,1000000000\n2,2,4.0,1000000001\n"
    )
    (ratings / "movies.csv").write_text("movieId,title,genres\n2,Two (1999),Drama\n")
    assert len(read(DataConfig(reader="movielens", path=ratings.as_uri())).events) == 2
