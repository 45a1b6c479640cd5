"""Bundles that travel: to a folder or to memory, and back, whole or not at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner

from funnel.artifacts import Store
from funnel.artifacts.remote import pull, push
from funnel.cli import app
from funnel.errors import BundleError

from .test_store import FILES, hidden, write


@pytest.fixture
def here(tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param != "memory":
        yield f"file://{tmp_path}/remote" if request.param == "file" else str(tmp_path / "remote")
        return
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    system, folder = fsspec.core.url_to_fs(root)
    if system.exists(folder):
        system.rm(folder, recursive=True)


def system(url: str) -> tuple[Any, str]:
    found, root = fsspec.core.url_to_fs(url)
    return found, root.rstrip("/")


def pulled(url: str, store: Store, *more: str) -> str:
    """What `funnel pull` prints."""
    done = CliRunner().invoke(app, ["pull", url, "--store", str(store.folder), *more])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_is_pushed_is_pulled_whole(here: Store, there: Store, url: str) -> None:
    first, second = write(here), write(here, FILES | {"a.npy": b"other"}, metrics={"ndcg@10": 0.5})
    here.publish(second)
    assert push(here, url) == second
    assert pull(url, there) == second
    assert there.verify(second) == here.verify(second)
    assert hidden(there) == []
    with pytest.raises(BundleError, match="nothing is published"):
        there.current()  # that is for the caller
    assert push(here, url, first) == first
    assert pull(url, there) == first
    assert pull(url, there, second) == second
    files, root = system(url)
    assert files.cat_file(f"{root}/CURRENT").decode() == f"{first}\n"
    assert not [name for name in files.ls(root, detail=False) if "CURRENT." in name]


def test_what_is_whole_is_not_copied_again(here: Store, there: Store, url: str) -> None:
    version = write(here)
    push(here, url, version)
    files, root = system(url)
    files.rm_file(f"{root}/{version}/a.npy")
    push(here, url, version)  # its manifest is there
    assert not files.exists(f"{root}/{version}/a.npy")
    with pytest.raises(BundleError, match="cannot be read"):
        pull(url, there)
    assert not there.folder.exists() or list(there.folder.iterdir()) == []


def test_a_machine_that_pulls_every_night_keeps_what_a_build_keeps(
    here: Store, there: Store, tmp_path: Path
) -> None:
    url = str(tmp_path / "remote")
    versions = [write(here, FILES | {"a.npy": bytes([night])}) for night in range(8)]
    for version in versions[:7]:
        push(here, url, version)
        pulled(url, there)
    kept = {versions[0], *versions[2:7]}  # the first is the anchor
    assert {manifest.version for manifest in there.versions()} == kept
    assert there.previous() == versions[5]
    (tmp_path / "shop.toml").write_text(
        "name = 'shop'\n[store]\nkeep = 1\n[data]\nreader = 'folder'\npath = '.'\n"
    )
    push(here, url, versions[7])
    said = json.loads(pulled(url, there, "--config", str(tmp_path / "shop.toml"), "--json"))
    assert sorted(said["removed"]) == sorted(versions[2:6])
    assert there.current() == versions[7]


def test_an_upload_that_broke_off_is_no_version_and_is_done_again(
    here: Store, there: Store, url: str
) -> None:
    version = write(here)
    push(here, url, version)
    files, root = system(url)
    files.rm_file(f"{root}/{version}/manifest.json")  # it is what comes last
    with pytest.raises(BundleError, match="no whole version"):
        pull(url, there)
    push(here, url, version)
    assert pull(url, there) == version


@pytest.mark.parametrize("path", FILES)
def test_a_byte_that_flipped_on_the_way_is_found(here: Store, there: Store, url: str, path: str) -> None:
    version = write(here)
    push(here, url, version)
    files, root = system(url)
    content = bytearray(files.cat_file(f"{root}/{version}/{path}"))
    content[0] ^= 1
    files.pipe_file(f"{root}/{version}/{path}", bytes(content))
    with pytest.raises(BundleError, match=f"{path} was changed"):
        pull(url, there)
    assert list(there.folder.iterdir()) == []


def test_a_damaged_local_copy_is_replaced(here: Store, there: Store, url: str) -> None:
    version = write(here)
    push(here, url, version)
    pull(url, there)
    (there.path(version) / "a.npy").write_bytes(b"?")
    assert pull(url, there) == version
    there.verify(version)
    assert hidden(there) == []


def test_a_damaged_bundle_is_not_pushed(here: Store, url: str) -> None:
    version = write(here)
    (here.path(version) / "a.npy").write_bytes(b"?")
    with pytest.raises(BundleError, match=r"a\.npy was changed"):
        push(here, url, version)
    files, root = system(url)
    assert not files.exists(f"{root}/CURRENT")


@pytest.mark.parametrize("name", ["../../outside", "/outside"])
def test_a_manifest_that_points_outside_of_its_bundle(
    here: Store, there: Store, tmp_path: Path, name: str
) -> None:
    version = write(here)
    remote = tmp_path / "remote"
    push(here, str(remote), version)
    manifest = remote / version / "manifest.json"
    said = json.loads(manifest.read_text())
    said["files"][name] = said["files"]["a.npy"]
    manifest.write_text(json.dumps(said))
    with pytest.raises(BundleError, match="outside of its bundle"):
        pull(str(remote), there)
    assert list(there.folder.iterdir()) == []


def test_there_is_nothing_to_pull(there: Store, url: str) -> None:
    with pytest.raises(BundleError, match="nothing is published there"):
        pull(url, there)
    with pytest.raises(BundleError, match="no whole version 'movies-1'"):
        pull(url, there, "movies-1")
    with pytest.raises(BundleError, match=r"no whole version '\.\./here'"):
        pull(url, there, "../here")
    with pytest.raises(BundleError, match="cannot be opened"):
        pull("nonsense://somewhere", there)


def test_a_url_that_cannot_be_written(here: Store, tmp_path: Path) -> None:
    version = write(here)
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        push(here, str(tmp_path / "file"), version)
