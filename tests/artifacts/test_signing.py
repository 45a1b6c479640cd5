"""Signed versions: what no known key signed is neither copied, published nor served."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel import Live, Store
from funnel.artifacts import signing
from funnel.artifacts.manifest import MANIFEST, SIGNATURES, Manifest
from funnel.artifacts.remote import pull, push
from funnel.errors import BundleError, ConfigError
from tests.processes import ok, refused
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

pytest.importorskip("cryptography")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "signing.key"


@pytest.fixture
def public(key: Path) -> str:
    return signing.generate(key)


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[str, Path]:
    path = tmp_path / "stranger.key"
    return signing.generate(path), path


def write(store: Store, name: str = "shop", text: str = "one") -> str:
    with store.writing(name) as draft:
        (draft.folder / "a.txt").write_text(text)
        (draft.folder / "below").mkdir()
        (draft.folder / "below" / "b.txt").write_text("two")
    return draft.version


def test_what_a_known_key_signed_is_taken(tmp_path: Path, key: Path, public: str) -> None:
    store = Store(tmp_path / "store")
    version = write(store)
    before = store.path(version).joinpath(MANIFEST).read_bytes()
    assert store.sign(version, key) == public
    assert store.path(version).joinpath(MANIFEST).read_bytes() == before
    trusting = Store(store.folder, [public])
    assert trusting.verify(version) == store.verify(version)
    trusting.publish(version)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert public not in key.read_text()


def resigned(folder: Path, change: Callable[[dict[str, str]], None]) -> None:
    """The file of signatures with a change of its first."""
    path = folder / SIGNATURES
    document = json.loads(path.read_text())
    change(document["signatures"][0])
    path.write_text(json.dumps(document))


def other_file(folder: Path) -> None:
    """A file changed, and the manifest made anew to fit it, as who writes the store can."""
    (folder / "a.txt").write_text("evil")
    manifest = Manifest.load(folder)
    from funnel.artifacts import manifest as manifests

    files = manifests.hashed(folder)
    fresh = manifest.model_copy(update={"files": files, "fingerprint": manifests.fingerprint(files)})
    fresh.save(folder)


def other_note(folder: Path) -> None:
    """A field of the manifest that changes no fingerprint."""
    Manifest.load(folder).model_copy(update={"notes": ("trust me",)}).save(folder)


SPOILT: dict[str, Callable[[Path], object]] = {
    "no signature": lambda folder: (folder / SIGNATURES).unlink(),
    "none in the file": lambda folder: (folder / SIGNATURES).write_text('{"signatures": []}'),
    "damaged": lambda folder: (folder / SIGNATURES).write_text("{"),
    "huge": lambda folder: (folder / SIGNATURES).write_text(" " * 200_000),
    "no base64": lambda folder: resigned(folder, lambda one: one.update(signature="ä")),
    "another text": lambda folder: resigned(
        folder, lambda one: one.update(signature=base64.b64encode(bytes(64)).decode())
    ),
    "cut": lambda folder: resigned(folder, lambda one: one.update(signature=one["signature"][:-8])),
    "file": other_file,
    "note": other_note,
    "one more file": lambda folder: (folder / "more.txt").write_text("more"),
    "only a file": lambda folder: (folder / "a.txt").write_text("evil"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_was_changed_is_refused(tmp_path: Path, key: Path, public: str, how: str) -> None:
    store = Store(tmp_path / "store", [public])
    version = write(store)
    store.sign(version, key)
    store.verify(version)
    SPOILT[how](store.path(version))
    with pytest.raises(BundleError):
        store.verify(version)
    with pytest.raises(BundleError):
        store.publish(version)
    assert store.published() is None


def test_messages_say_what_to_do(tmp_path: Path, key: Path, public: str, stranger: tuple[str, Path]) -> None:
    store = Store(tmp_path / "store", [public])
    version = write(store)
    with pytest.raises(BundleError, match=rf"is not signed.*`funnel sign {version} --key FILE`"):
        store.publish(version)
    Store(store.folder).sign(version, stranger[1])
    with pytest.raises(BundleError, match="is signed by no key that is trusted here") as caught:
        store.publish(version)
    assert stranger[0] in str(caught.value)


def test_a_signature_is_of_one_version(tmp_path: Path, key: Path, public: str) -> None:
    store = Store(tmp_path / "store", [public])
    good, evil = write(store), write(store, text="evil")
    store.sign(good, key)
    shutil.copy(store.path(good) / SIGNATURES, store.path(evil) / SIGNATURES)
    with pytest.raises(BundleError, match="was changed since"):
        store.verify(evil)


def test_one_of_several_keys_is_enough(
    tmp_path: Path, key: Path, public: str, stranger: tuple[str, Path]
) -> None:
    store = Store(tmp_path / "store")
    version = write(store)
    for path in (stranger[1], key, key):
        store.sign(version, path)
    assert len(signing.read(store.path(version))) == 2
    for trust in ([public], [stranger[0]], [public, stranger[0]]):
        Store(store.folder, trust).verify(version)


def test_copies_elsewhere_bring_their_signatures(
    tmp_path: Path, key: Path, public: str, stranger: tuple[str, Path]
) -> None:
    """A bucket is not trusted: nothing but manifest and signatures is fetched of what nobody known signed."""
    build, url = Store(tmp_path / "build"), f"file://{tmp_path}/bucket"
    version = write(build)
    build.publish(version)
    push(build, url)
    here = Store(tmp_path / "here", [public])
    with pytest.raises(BundleError, match="is not signed"):
        pull(url, here)
    (tmp_path / "bucket" / version / "a.txt").unlink()  # it would be missed, were it looked for
    with pytest.raises(BundleError, match="is not signed"):
        pull(url, here)
    assert not list(here.folder.glob("shop-*"))
    assert not list(here.folder.glob(".draft-*"))
    shutil.rmtree(tmp_path / "bucket" / version)
    build.sign(version, key)
    push(build, url)
    assert pull(url, here) == version
    here.publish(version)
    other = Store(tmp_path / "other", [stranger[0]])
    with pytest.raises(BundleError, match="no key that is trusted"):
        pull(url, other)


def test_a_signature_that_comes_later_is_added(tmp_path: Path, key: Path, public: str) -> None:
    """A version that is there and whole is not copied again, but its signature is."""
    build, url = Store(tmp_path / "build"), f"file://{tmp_path}/bucket"
    version = write(build)
    build.publish(version)
    push(build, url)
    pull(url, Store(tmp_path / "here"))
    build.sign(version, key)
    push(build, url)
    here = Store(tmp_path / "here", [public])
    assert pull(url, here) == version
    here.publish(version)


def test_two_signers_push_one_version(
    tmp_path: Path, key: Path, public: str, stranger: tuple[str, Path]
) -> None:
    """Each has the signature that it made itself, and the place that both copy to has both."""
    build, url = Store(tmp_path / "build"), f"file://{tmp_path}/bucket"
    version = write(build)
    build.publish(version)
    shutil.copytree(build.folder, tmp_path / "office")
    build.sign(version, key)
    push(build, url)
    office = Store(tmp_path / "office")
    office.sign(version, stranger[1])
    push(office, url)
    push(build, url)
    for number, trust in enumerate((public, stranger[0])):
        pull(url, Store(tmp_path / f"here-{number}", [trust]))
    (tmp_path / "bucket" / version / "signatures.json").write_text("damaged")
    push(build, url)
    assert [of.key for of in signing.read(tmp_path / "bucket" / version)] == [public]


def test_keys_are_changed_by_a_second_signature(
    tmp_path: Path, key: Path, public: str, stranger: tuple[str, Path]
) -> None:
    """A machine that has the version before its second signature goes on with it when the first key is no
    longer trusted, whatever else the place that it is copied from says of keys that it knows."""
    build, url = Store(tmp_path / "build"), f"file://{tmp_path}/bucket"
    version = write(build)
    build.publish(version)
    build.sign(version, key)
    push(build, url)
    here = Store(tmp_path / "here", [public])
    pull(url, here)
    here.publish(version)
    build.sign(version, stranger[1])
    push(build, url)
    (tmp_path / "bucket" / version / "a.txt").unlink()  # its files are not copied again
    signed = tmp_path / "bucket" / version / "signatures.json"
    first = signing.read(build.path(version))[0].signature
    signed.write_text(signed.read_text().replace(first, "AAAA"))
    assert pull(url, here) == version
    for trust in (public, stranger[0]):
        assert Store(here.folder, [trust]).verify(version).version == version
    signed.write_text("damaged")
    assert pull(url, here) == version


def test_live_serves_what_is_signed_and_takes_up_nothing_else(
    built: TinyBuild, tmp_path: Path, key: Path, public: str
) -> None:
    store = Store(shutil.copytree(built.indexes, tmp_path / "indexes"))
    with pytest.raises(BundleError, match="is not signed"):
        Live(Store(store.folder, [public]))
    signed = store.sign("current", key) and store.current()
    live = Live(Store(store.folder, [public]))
    newer = variant(store, lambda folder: (folder / "more.txt").write_text("more") and None)
    store.publish(newer)
    with pytest.raises(BundleError, match="is signed by no key that is trusted here, or was changed"):
        live.refresh()  # the signature beside it is of the version that it was copied from
    assert live.version == signed
    assert live.refused is not None
    assert live.recommend(7).items
    store.sign(newer, key)
    assert live.refresh()
    assert (live.version, live.refused) == (newer, None)
    live.close()


@pytest.mark.parametrize("trust", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 44, "ed25519:" + "ä" * 44])
def test_what_is_no_key(tmp_path: Path, trust: str) -> None:
    with pytest.raises(ConfigError, match="a public key is expected"):
        Store(tmp_path, [trust])
    from funnel.config import configure

    with pytest.raises(ConfigError, match=r"store\.trust"):
        configure("shop", store={"trust": [trust]})


def test_keys_are_not_overwritten_and_others_are_told(tmp_path: Path, key: Path, public: str) -> None:
    with pytest.raises(ConfigError, match="no key can be written there"):
        signing.generate(key)
    store = Store(tmp_path / "store")
    version = write(store)
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "text", tmp_path / "nothing"):
        with pytest.raises(ConfigError, match="funnel sign --new"):
            store.sign(version, path)


def test_the_commands(tmp_path: Path) -> None:
    store, url = Store(tmp_path / "store"), f"file://{tmp_path}/bucket"
    version = write(store)
    store.publish(version)
    public = ok("sign", "--new", "--key", tmp_path / "k").strip()
    push(store, url)
    pulled = ["pull", url, "--store", tmp_path / "here", "--trust", public]
    assert "is not signed" in refused(*pulled)
    ok("sign", version, "--key", tmp_path / "k", "--store", store.folder)
    ok("push", url, "--store", store.folder)
    assert version in ok(*pulled)
    assert "2 files" in ok("verify", "--store", tmp_path / "here", "--trust", public)
    other = ok("sign", "--new", "--key", tmp_path / "other").strip()
    assert "no key that is trusted" in refused("verify", "--store", tmp_path / "here", "--trust", other)
