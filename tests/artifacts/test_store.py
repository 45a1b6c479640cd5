"""Versions on disk: whole or absent, verified or refused."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from funnel.artifacts import Manifest, Store, verify
from funnel.errors import BundleError
from funnel.serving.background import in_background

FILES = {"a.npy": b"\x01\x02\x03", "towers/model.onnx": b"weights", "report.json": b"{}"}


def write(store: Store, files: dict[str, bytes] | None = None, name: str = "movies", **about: object) -> str:
    with store.writing(name) as draft:
        for path, content in (FILES if files is None else files).items():
            (draft.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (draft.folder / path).write_bytes(content)
        draft.describe(**about)
    return draft.version


def hidden(store: Store) -> list[str]:
    return [path.name for path in store.folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "indexes")


def test_what_is_written_is_verified_and_published(store: Store) -> None:
    version = write(store, seed=7, metrics={"ndcg@10": 0.25}, config={"k": [1, 2]}, fallback=["no_gain"])
    manifest = store.verify(version)
    assert version == f"movies-{manifest.fingerprint[:12]}"
    assert {path: entry.bytes for path, entry in manifest.files.items()} == {
        p: len(c) for p, c in FILES.items()
    }
    assert (manifest.seed, manifest.metrics, manifest.config) == (7, {"ndcg@10": 0.25}, {"k": [1, 2]})
    assert manifest.fallback == ("no_gain",)
    assert "numpy" in manifest.libraries
    store.publish(version)
    assert store.current() == version
    assert store.path("current") == store.path(version) == store.folder / version
    assert store.verify("current") == manifest
    assert hidden(store) == []


def test_the_fingerprint_is_of_what_decides_answers(store: Store) -> None:
    first = write(store)
    assert write(store, FILES | {"report.json": b"other"}) == first
    assert (store.path(first) / "report.json").read_bytes() == b"{}"  # the first is kept
    assert write(store, FILES | {"a.npy": b"\x01\x02\x04"}) != first
    assert write(store, {"b.npy" if path == "a.npy" else path: c for path, c in FILES.items()}) != first
    assert len(store.versions()) == 3


def test_versions_come_newest_first_and_without_the_damaged(store: Store) -> None:
    versions = [write(store, {"a": bytes([i])}, metrics={"x": i}) for i in range(4)]
    (store.path(versions[1]) / "manifest.json").write_text("{")
    assert [(one.version, one.metrics) for one in store.versions()] == [
        (versions[i], {"x": i}) for i in (3, 2, 0)
    ]
    assert Store(store.folder / "nowhere").versions() == []


def test_a_nested_manifest_is_a_file_like_any_other(store: Store) -> None:
    version = write(store, FILES | {"towers/manifest.json": b"{}"})
    store.verify(version)
    (store.path(version) / "towers/manifest.json").write_text("[]")
    with pytest.raises(BundleError, match=r"towers/manifest\.json was changed"):
        store.verify(version)


def test_figures_that_are_not_finite_can_be_read_back(store: Store) -> None:
    version = write(store, metrics={"auc": float("nan"), "loss": float("inf"), "x": 1.0})
    assert store.verify(version).metrics == {"auc": None, "loss": None, "x": 1.0}


@pytest.mark.parametrize("place", [0, 1, -1])  # of the manifest: a brace and two line ends
@pytest.mark.parametrize("path", [*FILES, "manifest.json"])
def test_a_flipped_byte_in_any_file_is_found(store: Store, path: str, place: int) -> None:
    version = write(store, metrics={"ndcg@10": 0.25})
    file = store.path(version) / path
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=file.name):
        store.verify(version)
    with pytest.raises(BundleError, match=file.name):
        store.publish(version)


def test_every_word_of_the_manifest_is_guarded(store: Store) -> None:
    version = write(store, metrics={"ndcg@10": 0.25}, seed=3, notes=["n"], data_window={"test": ["a", "b"]})
    path = store.path(version) / "manifest.json"
    whole = path.read_text()
    said = json.loads(whole)
    for key, other in {"seed": 4, "created": "now", "metrics": {}, "notes": [], "libraries": {}}.items():
        path.write_text(json.dumps(said | {key: other}))
        with pytest.raises(BundleError, match=r"manifest\.json was changed"):
            store.verify(version)
    path.write_text(whole)
    store.verify(version)


@pytest.mark.parametrize("path", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(store: Store, path: str) -> None:
    version = write(store)
    (store.path(version) / path).unlink()
    with pytest.raises(BundleError, match=path):
        store.verify(version)


def test_an_extra_file_is_named(store: Store) -> None:
    version = write(store)
    (store.path(version) / "towers/extra.bin").write_bytes(b"")
    with pytest.raises(BundleError, match=r"towers/extra\.bin does not belong"):
        store.verify(version)


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_truncated_manifest_is_refused(store: Store, share: float) -> None:
    version = write(store)
    path = store.path(version) / "manifest.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        store.verify(version)


@pytest.mark.parametrize("more", [{}, {"a_field_of_the_future": 1}])
def test_a_newer_format_says_to_upgrade(store: Store, more: dict[str, int]) -> None:
    version = write(store)
    path = store.path(version) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 3} | more))
    with pytest.raises(BundleError, match=r"newer funnel \(format 3; this one reads up to 1\).*upgrade"):
        store.verify(version)


def test_a_version_under_another_name_is_refused(store: Store) -> None:
    version = write(store)
    store.path(version).rename(store.folder / "movies-other")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        store.verify("movies-other")


def test_a_failed_writer_leaves_nothing(store: Store) -> None:
    version = write(store)
    store.publish(version)
    with pytest.raises(FileNotFoundError), store.writing("movies") as draft:
        (draft.folder / "missing" / "half.npy").write_bytes(b"half")
    assert store.current() == version
    assert hidden(store) == []
    assert [one.version for one in store.versions()] == [version]


def test_writing_again_repairs_a_damaged_version(store: Store) -> None:
    version = write(store)
    (store.path(version) / "a.npy").write_bytes(b"???")
    assert write(store) == version
    store.verify(version)
    assert hidden(store) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", ".hidden", "a b", "a\0"])
def test_a_name_that_is_a_path_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BundleError, match="cannot name a version"):
        write(store, name=name)
    write(store)
    for ask in (store.path, store.verify, store.publish):
        with pytest.raises(BundleError, match="has no version"):
            ask(name)


def test_an_unknown_version_is_answered_with_the_known(store: Store) -> None:
    version = write(store)
    with pytest.raises(BundleError, match=f"'nope'; it has: {version}"):
        store.path("nope")


def test_a_store_without_a_published_version(store: Store) -> None:
    with pytest.raises(BundleError, match="nothing is published"):
        store.current()  # the folder is missing, too
    version = write(store)
    with pytest.raises(BundleError, match="nothing is published"):
        store.path("current")
    (store.folder / "CURRENT").write_text("\n")
    with pytest.raises(BundleError, match="CURRENT is empty"):
        store.current()
    for wrong in ("gone-1", "../indexes", f"{version}/towers", "\udcff"):
        (store.folder / "CURRENT").write_text(wrong, errors="surrogateescape")
        with pytest.raises(BundleError, match=r"CURRENT names .* which is not there"):
            store.current()


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        write(Store(tmp_path / "file"))
    with pytest.raises(BundleError, match="cannot be written"):
        write(Store(tmp_path / "file" / "below"))


def test_a_read_only_store_serves_and_refuses_changes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = Store(Path(folder) / "indexes")
        version = write(store)
        store.publish(version)
        store.folder.chmod(0o555)
        with nobody():
            assert store.verify(store.current()).version == version
            with pytest.raises(BundleError, match="cannot be written"):
                write(store, {"a": b"other"})
            with pytest.raises(BundleError, match="cannot be written"):
                store.publish(version)
        store.folder.chmod(0o755)


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's right to write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_manifest_round_trips(store: Store) -> None:
    version = write(store, data_window={"towers": ("a", "b")}, notes=["n"], towers_fingerprint="t")
    manifest = Manifest.load(store.path(version))
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert (manifest.data_window, manifest.towers_fingerprint) == ({"towers": ("a", "b")}, "t")


def test_who_gives_way_hashes_on_one_thread(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further thread would have a share of the processor of its own, beside those that answer."""
    version = write(store)
    threads: list[int | None] = []
    pool = verify.ThreadPoolExecutor

    def counted(most: int | None = None) -> ThreadPoolExecutor:
        threads.append(most)
        return pool(most)

    monkeypatch.setattr(verify, "ThreadPoolExecutor", counted)
    store.verify(version)
    in_background(lambda: store.verify(version))
    assert threads == [None, 1]
