"""API keys: made, changed and taken away while a service runs; a file that is damaged lets nobody in."""

from __future__ import annotations

import json
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from funnel.errors import BundleError, ConfigError
from funnel.service import keys
from funnel.service.keys import Keys
from tests.processes import ok, refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def role(watched: Keys, token: str) -> str | None:
    identity = watched.identity(token)
    return None if identity is None else identity.role


def test_a_key_has_its_role_and_no_other_text_has_one(path: Path) -> None:
    tokens = {name: keys.add(path, name, name) for name in keys.ROLES}
    watched = Keys(path)
    assert {name: role(watched, token) for name, token in tokens.items()} == {
        name: name for name in keys.ROLES
    }
    good = tokens["admin"]
    for wrong in (
        "",
        "fk_",
        good[:-1],
        good + "x",
        good.upper(),
        tokens["read"][:15] + good[15:],
        "\ud800",
        "é",
    ):
        assert role(watched, wrong) is None


def test_the_file_holds_no_key(path: Path) -> None:
    token = keys.add(path, "shop", "read")
    text = path.read_text()
    assert token not in text
    assert token.rpartition("_")[2] not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = path.with_name("other.json")
    assert keys.add(again, "shop", "read") != token
    hashes = [json.loads(one.read_text())["keys"][0]["sha256"] for one in (path, again)]
    assert len({*hashes, json.loads(text)["keys"][0]["salt"]}) == 3


def test_changes_are_seen_while_it_runs(path: Path) -> None:
    first = keys.add(path, "first", "read")
    watched = Keys(path, every=0)
    second = keys.add(path, "second", "write")
    assert role(watched, second) == "write"
    keys.remove(path, "first")
    assert role(watched, first) is None
    assert role(watched, second) == "write"


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "folder", "twice", "role", "writable", "huge"])
def test_a_damaged_file_lets_nobody_in_until_it_is_well(path: Path, damage: str) -> None:
    token = keys.add(path, "shop", "admin")
    watched = Keys(path, every=0)
    whole = path.read_text()
    spoil(path, damage)
    assert role(watched, token) is None
    assert not watched.usable
    with pytest.raises(ConfigError, match=r"keys\.json"):
        Keys(path)
    path.rmdir() if path.is_dir() else None
    path.write_text(whole)
    path.chmod(0o600)
    assert role(watched, token) == "admin"


def test_a_file_that_could_not_be_opened_is_read_as_soon_as_it_can(path: Path) -> None:
    first = keys.add(path, "first", "read")
    watched = Keys(path, every=0)
    second = keys.add(path, "second", "write")
    with nothing_opened():  # as where the file is another user's: it can be looked at, and not read
        assert role(watched, first) is None
        assert not watched.usable
    assert (role(watched, first), role(watched, second)) == ("read", "write")


@contextmanager
def nothing_opened() -> Iterator[None]:
    """No file can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_whoever_may_read_the_file_may_read_it_when_it_was_changed(path: Path) -> None:
    keys.add(path, "shop", "read")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    keys.add(path, "second", "read")
    keys.remove(path, "shop")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_link_leads_to_the_file_that_is_changed(path: Path) -> None:
    token, link = keys.add(path, "shop", "read"), path.with_name("link.json")
    link.symlink_to(path.name)
    service = keys.Keys(path, every=0.0)
    keys.add(link, "second", "read")
    assert service.identity(token) is not None
    keys.remove(link, "shop")
    assert link.is_symlink()
    assert service.identity(token) is None
    assert [key.name for key in keys.read(path)] == ["second"]


def test_a_name_is_before_the_id_of_another(path: Path) -> None:
    keys.add(path, "shop", "read")
    (shop,) = keys.read(path)
    keys.add(path, shop.id, "admin")
    assert keys.remove(path, shop.id).role == "admin"
    assert keys.remove(path, shop.id).name == "shop"


def spoil(path: Path, damage: str) -> None:
    document = json.loads(path.read_text())
    match damage:
        case "cut":
            path.write_text(path.read_text()[:-20])
        case "empty":
            path.write_text("")
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "twice":
            path.write_text(json.dumps({"keys": document["keys"] * 2}))
        case "role":
            path.write_text(path.read_text().replace("admin", "root"))
        case "writable":
            path.chmod(0o666)
        case "huge":
            path.write_text(path.read_text() + " " * 5_000_000)


def test_many_at_once_make_keys_and_none_is_lost(path: Path) -> None:
    threads = [threading.Thread(target=keys.add, args=(path, f"n{i}", "read")) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.name for key in keys.read(path)} == {f"n{i}" for i in range(20)}


def test_what_cannot_be_is_refused(path: Path) -> None:
    keys.add(path, "shop", "read")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="has a key 'shop'"):
        keys.add(path, "shop", "admin")
    with pytest.raises(ConfigError, match="it has: shop"):
        keys.remove(path, "nobody")
    with pytest.raises(ConfigError, match="1 to 100 characters"):
        keys.add(path, "", "read")
    assert path.read_bytes() == before
    with pytest.raises(BundleError, match="cannot be written"):
        keys.add(path / "below", "shop", "read")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_without_keys_this_machine_alone_is_listened_to(host: str) -> None:
    keys.check_address(host, keys=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "shop.example", "localhost.example", ""])
def test_without_keys_others_are_not(host: str) -> None:
    with pytest.raises(ConfigError, match="funnel keys add NAME"):
        keys.check_address(host, keys=False)
    keys.check_address(host, keys=True)


def test_the_commands(path: Path) -> None:
    token = ok("keys", "add", "shop", "--role", "write", "--keys", path).strip()
    assert role(Keys(path), token) == "write"
    assert "shop" in ok("keys", "list", "--keys", path)
    listed = ok("keys", "list", "--keys", path, "--json")
    assert [(key["name"], key["role"]) for key in json.loads(listed)["keys"]] == [("shop", "write")]
    assert token not in listed
    assert "role is 'root'; one of read, write, admin" in refused(
        "keys", "add", "x", "--role", "root", "--keys", path
    )
    ok("keys", "remove", "shop", "--keys", path)
    assert role(Keys(path), token) is None
