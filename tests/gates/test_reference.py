"""A gate that cannot look stays shut: where what is served cannot be read, nothing is waved through."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funnel.artifacts import Store
from funnel.artifacts.store import CURRENT
from funnel.errors import BundleError, GateError
from funnel.gates import GatesConfig, Verdict, judge, publish
from funnel.pipeline import prepare
from tests.gates.conftest import FEW, Two, sound
from tests.tiny import TinyBuild, movie_config
from tests.undrawn import build

#: Everything that does not look at the served bundle is left loose.
LOOSE = GatesConfig(stage_fall=1.0, slice_fall=1.0, latency_ms=1e6)


@pytest.fixture(scope="module")
def two(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Two:
    """In place of the usual ones, bundles of few trees with an eighth of their holdout: no figure counts."""
    folder = tmp_path_factory.mktemp("small") / "indexes"
    path, gates = built.config.data.path, {"holdout": 100, "latency_ms": 10_000.0, "visible_fall": 0.9}
    first, second = (
        build(prepare(movie_config(path, ranker=trees, gates=gates)), sound(built), Store(folder))
        for trees in (FEW, {**FEW, "leaves": 6})
    )
    Store(folder).publish(first.version)
    return Two(folder, second.version)


def derived(store: Store, change: Callable[[Path], None]) -> str:
    """The published bundle with a change, as a version of its own."""
    about = store.verify("current")
    with store.writing("movies") as draft:
        shutil.copytree(store.path("current"), draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        change(draft.folder)
        draft.describe(towers_fingerprint=about.towers_fingerprint, config=about.config)
    return draft.version


def without_a_column(folder: Path) -> None:
    schema = json.loads((folder / "schema.json").read_text())
    schema["items"] = [one for one in schema["items"] if one["name"] != "genres"]
    (folder / "schema.json").write_text(json.dumps(schema))


def marked(folder: Path) -> None:
    (folder / "mark").write_text("x")


@pytest.fixture
def worse(store: Store) -> str:
    """A bundle that the schema gate stops, as long as it can look."""
    return derived(store, without_a_column)


@pytest.fixture
def other(store: Store) -> str:
    """A bundle that answers as the published one does."""
    return derived(store, marked)


def flipped(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[10] ^= 1
    path.write_bytes(whole)


def refused(store: Store, version: str) -> Verdict:
    """The verdict on a bundle that is not published; what is served stays."""
    before = (store.folder / CURRENT).read_bytes() if (store.folder / CURRENT).exists() else None
    with pytest.raises(GateError) as caught:
        publish(store, version, config=LOOSE)
    after = (store.folder / CURRENT).read_bytes() if (store.folder / CURRENT).exists() else None
    assert before == after
    verdict: Verdict = caught.value.verdict
    return verdict


@pytest.mark.parametrize("name", ["report.html", "report.json"])
@pytest.mark.parametrize("damage", [flipped, Path.unlink])
def test_a_damaged_report_does_not_hide_the_served_bundle(
    store: Store, worse: str, other: str, name: str, damage: Callable[[Path], None]
) -> None:
    """It answers nothing: whoever is worse is refused for that, and whoever is not is published."""
    served = store.current()
    damage(store.path(served) / name)
    verdict = refused(store, worse)
    assert "schema" in verdict.failed_gates
    assert (verdict.served, verdict.beside) == (served, served)
    assert publish(store, other, config=LOOSE).beside == served


def without_holdout(store: Store) -> None:
    shutil.rmtree(store.path("current") / "holdout")


def flipped_files(*names: str) -> Callable[[Store], None]:
    def damage(store: Store) -> None:
        for name in names:
            flipped(store.path("current") / name)

    return damage


def added(store: Store) -> None:
    (store.path("current") / "towers" / "more.onnx").write_text("x")


def gone(store: Store) -> None:
    shutil.rmtree(store.path("current"))


def current(content: bytes | None) -> Callable[[Store], None]:
    """CURRENT says something else, or is gone."""

    def damage(store: Store) -> None:
        (store.folder / CURRENT).unlink()
        if content is not None:
            (store.folder / CURRENT).write_bytes(content)

    return damage


DAMAGES: dict[str, Callable[[Store], None]] = {
    "an array": flipped_files("users/history_items.npy"),
    "settings": flipped_files("serve.json"),
    "the schema": flipped_files("schema.json"),
    "the manifest": flipped_files("manifest.json"),
    "the holdout": flipped_files("holdout/targets_values.npy"),
    "no holdout": without_holdout,
    "a file too many": added,
    "all of it gone": gone,
    "CURRENT is empty": current(b""),
    "CURRENT is gone": current(None),
    "CURRENT names what is not there": current(b"movies-123\n"),
    "CURRENT is torn": current(b"\xff\xfe/.."),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_served_bundle_that_cannot_be_read_fails_the_gate(store: Store, other: str, kind: str) -> None:
    """Even to a bundle that is as good; it can be forced, and then everything goes on."""
    served = store.current()
    DAMAGES[kind](store)
    verdict = refused(store, other)
    assert "reference" in verdict.failed_gates
    # Where CURRENT is what is damaged, the record says what was published last.
    assert verdict.beside == (served if kind.startswith("CURRENT") else None)
    assert "--force" in verdict.failed[0].sentence
    assert "reference" in publish(store, other, config=LOOSE, force=True).failed_gates
    assert store.current() == other
    assert store.publications()[-1].forced
    store.set_anchor(other)  # what could not be read was the anchor too
    assert publish(store, other, config=LOOSE).passed


@pytest.mark.parametrize("kind", ["an array", "all of it gone"])
def test_what_was_served_before_it_is_compared_with_instead(
    store: Store, worse: str, second: str, kind: str
) -> None:
    """That fails gates of its own and lets none pass; rolling back makes it the reference."""
    first = store.current()
    store.publish(second)
    DAMAGES[kind](store)
    verdict = refused(store, worse)
    assert verdict.beside == first
    assert set(verdict.failed_gates) >= {"reference", "schema"}
    assert first in verdict.failed[0].sentence
    if kind == "an array":
        store.rollback()
        assert refused(store, worse).failed_gates == ("schema",)


def test_a_first_bundle_has_nothing_to_be_compared_with(store: Store, tmp_path: Path) -> None:
    alone = Store(tmp_path / "alone")
    alone.folder.mkdir()
    version = store.current()
    shutil.copytree(store.path(version), alone.folder / version)
    verdict = publish(alone, version, config=LOOSE)
    assert (verdict.served, verdict.beside, verdict.failed_gates) == (None, None, ())


def test_a_history_that_cannot_be_read_is_no_empty_store(store: Store, other: str) -> None:
    (store.folder / "PUBLICATIONS.jsonl").write_bytes(b"\x00" * 80)
    (store.folder / CURRENT).unlink()
    assert refused(store, other).failed_gates == ("reference",)


def test_a_served_bundle_that_fails_when_it_is_measured_fails_the_gate(
    store: Store, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging = importlib.import_module("funnel.gates.judge")

    def stumbles(*arguments: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(judging, "_beside", stumbles)
    verdict = refused(store, other)
    assert verdict.failed_gates == ("reference",)
    assert "no room" in verdict.failed[0].sentence
    assert publish(store, other, config=LOOSE, force=True).version == other


def test_a_published_holdout_that_shares_no_item_fails_the_stages(
    store: Store, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging = importlib.import_module("funnel.gates.judge")
    monkeypatch.setattr(judging, "shared_targets", lambda examples, *of: examples.take(np.arange(0)))
    assert refused(store, other).failed_gates == ("stages",)


def test_a_bundle_whose_holdout_is_empty_is_not_judged(store: Store) -> None:
    def emptied(folder: Path) -> None:
        holdout = folder / "holdout"
        for path in [*holdout.glob("*.npy"), *holdout.glob("user_features/*.npy")]:
            values = np.load(path)
            np.save(path, np.zeros(1, np.int64) if "offsets" in path.name else values[:0])

    version = derived(store, emptied)
    with pytest.raises(BundleError, match="no request to judge it by"):
        judge(store, version)


def test_thresholds_that_this_funnel_does_not_know(store: Store) -> None:
    about = store.verify("current")
    with store.writing("movies") as draft:
        shutil.copytree(store.path("current"), draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        draft.describe(towers_fingerprint=about.towers_fingerprint, config={"gates": {"luck": 1}})
        marked(draft.folder)
    with pytest.raises(BundleError, match="--config FILE"):
        publish(store, draft.version)
    assert publish(store, draft.version, config=LOOSE).passed


def test_a_shortlist_that_has_shrunk_to_what_is_shown_is_compared_in_recall(store: Store) -> None:
    """What is not measured of the new bundle would not be missed."""

    def narrow(folder: Path) -> None:
        settings = json.loads((folder / "serve.json").read_text())
        settings["retrieve"]["k"] = 3
        (folder / "serve.json").write_text(json.dumps(settings))

    verdict = judge(store, derived(store, narrow), GatesConfig(slice_fall=1.0, latency_ms=1e6, parity=0.0))
    assert any(one.sentence.startswith("filter, recall on its holdout") for one in verdict.failed)
