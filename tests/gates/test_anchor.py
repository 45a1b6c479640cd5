"""The bundle that does not move: what every other one is judged beside, whatever was published since."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from funnel.artifacts import Store
from funnel.artifacts.retention import retain
from funnel.errors import BundleError, GateError
from funnel.gates import GatesConfig, judge, publish
from tests.processes import ok

LOOSE = GatesConfig(
    baseline_fall=1.0, slice_fall=1.0, latency_ms=1e6, parity=0.0, popularity_rise=1.0, concentration=1.0
)


def derived(store: Store, of: str, change: Callable[[Path], None]) -> str:
    """A bundle with a change, as a version of its own."""
    with store.writing("movies") as draft:
        shutil.copytree(store.path(of), draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        change(draft.folder)
        draft.describe(towers_fingerprint=store.verify(of).towers_fingerprint)
    return draft.version


def worse(folder: Path) -> None:
    """Recommends what is popular and nothing else."""
    settings = json.loads((folder / "serve.json").read_text())
    settings |= {"use_ranker": False, "weights": {"popular": 1.0}}
    settings["retrieve"]["sources"] = ["popular"]
    (folder / "serve.json").write_text(json.dumps(settings))


def marked(folder: Path) -> None:
    (folder / "mark").write_text("x")


@pytest.fixture
def fallen(store: Store) -> tuple[str, str]:
    """A store whose first bundle was replaced by a worse one, by force, and another as bad: first, other."""
    first = store.current()
    bad = derived(store, first, worse)
    other = derived(store, bad, marked)
    publish(store, bad, config=LOOSE, force=True)
    return first, other


def test_a_bundle_as_good_as_the_published_one_is_stopped_where_that_has_fallen(
    store: Store, fallen: tuple[str, str]
) -> None:
    first, other = fallen
    assert store.anchor() == first
    with pytest.raises(GateError) as caught:
        publish(store, other, config=LOOSE)
    verdict = caught.value.verdict
    assert verdict.failed_gates == ("anchor",)
    assert all(first in one.sentence for one in verdict.failed)
    assert publish(store, other, config=LOOSE.model_copy(update={"anchor_fall": 1.0})).passed


def test_an_anchor_that_a_person_sets_counts_from_then_on(store: Store, fallen: tuple[str, str]) -> None:
    """Meant changes make a new beginning; it is on record and no publication."""
    before = [one.version for one in store.publications()]
    assert ok("anchor", "--store", store.folder).split()[-1] == store.current() == store.anchor()
    assert [one.version for one in store.publications()] == before
    assert store.previous() == fallen[0]
    assert publish(store, fallen[1], config=LOOSE).passed
    assert store.rollback() == before[-1]


def test_retention_keeps_the_anchor(store: Store, fallen: tuple[str, str]) -> None:
    first, other = fallen
    published = store.current()
    retain(store, 1)
    store.publish(other)
    newest = derived(store, other, worse)
    retain(store, 1)
    assert first in {one.version for one in store.versions()}
    store.set_anchor(newest)
    store.publish(derived(store, other, lambda folder: (folder / "more").write_text("x")))
    retain(store, 1)
    assert not (store.folder / first).exists()
    assert (store.folder / newest).exists()
    assert published != store.current()


@pytest.mark.parametrize("damage", ["gone", "array"])
def test_an_anchor_that_cannot_be_read_fails_its_gate(
    store: Store, fallen: tuple[str, str], damage: str
) -> None:
    first, other = fallen
    store.set_anchor(first)
    if damage == "gone":
        shutil.rmtree(store.path(first))
    else:
        (store.path(first) / "users" / "history_items.npy").write_bytes(b"")
    verdict = judge(store, other, LOOSE)
    assert verdict.failed_gates == ("anchor",)
    assert "`funnel anchor VERSION` sets another" in verdict.failed[0].sentence
    publish(store, other, config=LOOSE, force=True)
    store.set_anchor(other)
    third = derived(store, other, lambda folder: (folder / "more").write_text("x"))
    assert judge(store, third, LOOSE).passed


def test_only_what_is_whole_becomes_the_anchor(store: Store) -> None:
    with pytest.raises(BundleError, match="has no version"):
        store.set_anchor("movies-123")
    first = store.current()
    (store.path("current") / "serve.json").write_text("{}")
    with pytest.raises(BundleError, match=r"serve\.json was changed"):
        store.set_anchor("current")
    assert store.anchor() == first
    assert Store(store.folder.parent / "empty").anchor() is None
