"""A newly published bundle is taken up while people ask, and one that cannot be used is refused."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError, ConfigError, FunnelError
from funnel.serving.state import SqliteLog
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def variant(store: Store, change: Callable[[Path], None], name: str = "movies", **more: Any) -> str:
    """The published bundle with a change, as a version of its own."""
    source = store.path("current")
    about = store.verify("current")
    with store.writing(name) as draft:
        shutil.copytree(source, draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        change(draft.folder)
        draft.describe(
            towers_fingerprint=about.towers_fingerprint,
            schema_fingerprint=about.schema_fingerprint,
            config=about.config,
            **more,
        )
    return draft.version


def settings(**changes: Any) -> Callable[[Path], None]:
    """A change of serve.json."""

    def change(folder: Path) -> None:
        found = json.loads((folder / "serve.json").read_text())
        (folder / "serve.json").write_text(json.dumps(found | changes))

    return change


def without_ranker(store: Store) -> str:
    """A bundle that answers in another order."""
    return variant(store, settings(use_ranker=False))


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def items(answer: Any) -> list[Any]:
    return [item.item_id for item in answer.items]


class Waiting(Sequence[Any]):
    """A history that is read only when it is allowed to: it holds a request in flight."""

    def __init__(self, given: list[Any]) -> None:
        self._given, self.reached, self.go = given, threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Any]:
        self.reached.set()
        assert self.go.wait(60)
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, place: Any) -> Any:
        return self._given[place]


def mapped(folder: Path) -> int:
    """How many of a folder's files this process has mapped."""
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux's list of mapped files")
def test_requests_in_flight_end_on_the_old_bundle_whose_memory_is_then_free(store: Store) -> None:
    live = Live(store.folder)
    old, history = live.version, live.history(7)
    expected = items(live.recommend("new", history=history))
    new = without_ranker(store)
    gone = weakref.ref(live.contents)
    assert mapped(store.path(old)) > 0
    waiting, got = Waiting(history), []
    asking = threading.Thread(target=lambda: got.append(live.recommend("new", history=waiting)))
    asking.start()
    assert waiting.reached.wait(60)
    store.publish(new)
    assert live.refresh()
    assert live.version == new
    assert live.recommend(7).version == new
    assert gone() is not None  # someone is still being answered from it
    waiting.go.set()
    asking.join()
    assert (got[0].version, items(got[0])) == (old, expected)
    gc.collect()
    assert gone() is None
    assert mapped(store.path(old)) == 0
    assert mapped(store.path(new)) > 0


def test_nobody_is_dropped_while_bundles_change(store: Store) -> None:
    live = Live(store.folder, watch=0.01)
    versions = [live.version, without_ranker(store)]
    expected = {version: items(Live(store.folder, version).recommend(7)) for version in versions}
    assert expected[versions[0]] != expected[versions[1]]
    stop, answers, errors = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(live.recommend(7))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in [versions[1], versions[0]] * 2:
        store.publish(version)
        assert soon(lambda version=version: live.version == version)
    stop.set()
    for thread in threads:
        thread.join()
    live.close()
    assert errors == []
    assert {answer.version for answer in answers} == set(versions)
    for answer in answers:
        assert items(answer) == expected[answer.version]


def test_a_bad_bundle_is_refused_and_reported_and_the_old_one_goes_on(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    live = Live(store.folder, watch=0.01)
    old, new = live.version, without_ranker(store)
    store.publish(new)
    file = store.path(new) / "items" / "columns.arrow"
    whole = file.read_bytes()
    assert soon(lambda: live.version == new)
    store.publish(old)
    assert soon(lambda: live.version == old)
    with caplog.at_level(logging.ERROR):
        (store.folder / "CURRENT").unlink()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        (store.folder / "CURRENT").write_text(f"{new}\n")  # by another program: `publish` verifies
        assert soon(lambda: live.refused is not None and live.refused.version == new)
    assert live.refused is not None
    assert "items/columns.arrow was changed" in live.refused.reason
    assert any(f"{new} was refused" in record.message for record in caplog.records)
    assert live.version == old
    assert len(live.recommend(7).items) == 10
    with pytest.raises(BundleError, match=r"items/columns\.arrow was changed"):
        live.refresh()
    file.write_bytes(whole)
    store.publish(new)  # replaces CURRENT, which is what is watched
    assert soon(lambda: live.version == new)
    assert live.refused is None
    live.close()


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_flipped_byte_in_any_file_is_refused_by_name(built: TinyBuild, store: Store, place: float) -> None:
    version = store.current()
    folder = store.path(version)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        at = int(place * (len(whole) - 1))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BundleError, match=path.name):
            Live(store.folder)
        path.write_bytes(whole)
    store.verify(version)


def test_a_bundle_of_another_schema_is_refused_on_reload(store: Store) -> None:
    live = Live(store.folder)

    def without_genres(folder: Path) -> None:
        schema = json.loads((folder / "schema.json").read_text())
        schema["items"] = [column for column in schema["items"] if column["name"] != "genres"]
        (folder / "schema.json").write_text(json.dumps(schema))

    new = variant(store, without_genres)
    store.publish(new)
    with pytest.raises(BundleError, match=r"another schema: items\.genres of .* is gone"):
        live.refresh()
    assert live.refused is not None
    assert live.refused.version == new
    assert live.recommend(7, where={"genres": "Comedy"}).items
    assert Live(store.folder).version == new  # a new process has no callers to disappoint


def test_a_bundle_that_is_whole_but_unusable_is_refused(store: Store) -> None:
    live = Live(store.folder)
    store.publish(variant(store, lambda folder: (folder / "serve.json").write_text("{}")))
    with pytest.raises(BundleError, match="is whole but cannot be used: KeyError"):
        live.refresh()
    assert len(live.recommend(7).items) == 10


def test_a_store_that_is_away_for_a_while(store: Store) -> None:
    live = Live(store.folder)
    store.folder.rename(store.folder.with_name("away"))
    with pytest.raises(BundleError, match="nothing is published"):
        live.refresh()
    assert len(live.recommend(7).items) == 10
    store.folder.with_name("away").rename(store.folder)
    assert not live.refresh()
    assert live.refused is None


def test_watching_ends_with_the_last_reference_or_when_closed(store: Store) -> None:
    def watching() -> int:
        return sum(thread.name == "funnel-watch" for thread in threading.enumerate())

    before = watching()
    live, other = (Live(store.folder, watch=0.01) for _ in range(2))
    assert watching() == before + 2
    other.close()
    assert soon(lambda: watching() == before + 1)
    del live
    assert soon(lambda: watching() == before)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9, "5", True, 10**400, [5]])
def test_an_interval_that_is_none(store: Store, seconds: Any) -> None:
    with pytest.raises(ConfigError, match=r"watch is .* seconds above 0"):
        Live(store.folder, watch=seconds)


def test_an_interval_that_is_short_beyond_all_measure(store: Store) -> None:
    live = Live(store.folder, watch=1e-310)
    store.publish(without_ranker(store))
    assert soon(lambda: live.version == store.current())
    assert live.health()["watching"]
    live.close()


@pytest.mark.parametrize("given", [None, 5, True, ["indexes"]])
def test_what_is_no_store_no_version_and_no_state(store: Store, given: Any) -> None:
    with pytest.raises(FunnelError, match=r"the folder of a store is .* a path or a text"):
        Live(given)
    with pytest.raises(BundleError, match="has no version"):
        Live(store.folder, version=given)
    if given is not None:
        with pytest.raises(FunnelError, match=r"a state is .* a path or a text"):
            Live(store.folder, state=given)


def test_what_was_learned_of_how_long_stages_take_goes_on(store: Store) -> None:
    live = Live(store.folder)
    for _ in range(40):  # as if ranking took ten seconds; trials become rare
        runs = live.served().durations.of("rank", 100)
        runs.leave_out(1.0)
        runs.ran(10.0, 1.0)
    assert "skipped:rank" in live.recommend(7, 3, deadline=1_000).reasons
    store.publish(variant(store, lambda folder: (folder / "mark").write_text("x") and None))
    assert live.refresh()
    assert "skipped:rank" in live.recommend(7, 20, deadline=1_000).reasons
    assert live.recommend(7, 20).reasons == ()
    live.close()


class Watched(SqliteLog):
    """A log that does something of ours whenever a process reads all of it, and when it looks."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read: Callable[[], None] = lambda: None
        self.looked: Callable[[], None] = lambda: None

    def changes_after(self, number: int) -> Any:
        changes = super().changes_after(number)
        if number == 0:
            self.read()
        return changes

    def position(self) -> Any:
        self.looked()
        return super().position()


def test_a_change_that_comes_during_a_reload_is_in_every_later_answer(store: Store, tmp_path: Path) -> None:
    log = Watched(tmp_path / "state.sqlite")
    live = Live(store.folder, state=log)
    victim = live.recommend(7).items[0].item_id
    there = []

    def meanwhile() -> None:
        """The new bundle has read all changes: one more is acknowledged, and in an answer of the old one."""
        log.read = lambda: None
        live.items.delete([victim])
        assert victim not in items(live.recommend(7))
        log.looked = looked

    def looked() -> None:
        rows = live.contents.catalogue.ids.rows([victim])
        there.append(bool(live.overlay.catalogue.is_living(rows)[0]))

    log.read = meanwhile
    store.publish(without_ranker(store))
    assert live.refresh()
    assert there
    assert not any(there)
    assert victim not in items(live.recommend(7))
    live.close()
