"""Several processes on one store, and what happens to it on a bad day."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError, FunnelError
from funnel.serving.state import follower
from funnel.serving.state.overlay import Overlay
from tests.processes import python, start
from tests.serving.test_items import frame, ids
from tests.serving.test_reload import soon, variant, without_ranker
from tests.tiny import TinyBuild


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def script(code: str, *arguments: Any) -> Any:
    """What a process prints as JSON."""
    done = python("-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


WORKER = """
import json, sys
import pandas as pd
from funnel import Live
live, number = Live(sys.argv[1]), int(sys.argv[2])
live.observe((7, number), ("new", number))
live.items.upsert(pd.DataFrame({
    "item_id": [1000 + number], "title": "x", "genres": [["Western"]], "year": 1900.0 + number}))
live.items.patch([20 + number], {"year": 1850.0})
live.items.delete([30 + number])
print(json.dumps(live.history("new")))
"""


def test_what_one_process_takes_in_the_others_know(store: Store) -> None:
    live = Live(store.folder)
    for number in (1, 2, 3):
        assert script(WORKER, store.folder, number) == list(range(1, number + 1))
        assert live.history(7)[-1] == number
        assert set(ids(live.recommend("x", where={"genres": "Western"}))) == set(range(1001, 1001 + number))
        assert not set(range(31, 31 + number)) & set(ids(live.recommend("x", k=500)))
        old = set(ids(live.recommend("x", where={"year": {"lt": 1880}})))
        assert old == set(range(21, 21 + number))


FORKS = """
import json, os, sys
from funnel import Live
live = Live(sys.argv[1], watch=0.05)
live.observe((7, 3)); live.items.delete([40])
first, children = live.version, []
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        for n in range(5):
            live.observe((1000 + worker, 1 + n))
        live.items.delete([41 + worker])
        held = {40, 41 + worker} & {one.item_id for one in live.recommend("x", 500).items}
        os._exit(9 if held else len(live.history(1000 + worker)))
    children.append(pid)
live.observe((7, 4))
left = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
shown = {one.item_id for one in live.recommend("x", 500).items}
print(json.dumps([left, live.history(7)[-2:], sorted(shown & {40, 41, 42, 43})]))
"""

FORKED_DURING_A_WRITE = """
import json, os, sys, threading, time
from funnel.serving.state import Event, connections, open_state
connections.PATIENCE = 0.5
log, began = open_state(sys.argv[1]), threading.Event()
class Slow(list):
    def __iter__(self):
        began.set(); time.sleep(0.3)
        return super().__iter__()
writes = threading.Thread(target=log.observe, args=(Slow([Event("parent", "1", 10**9)]),))
log.observe([Event("parent", "1", 10**9)]); writes.start(); began.wait()
child = os.fork()
if child == 0:
    log.observe([Event("child", "1", 10**9)])
    os._exit(len(log.events_of("child", 9)))
left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
writes.join(); log.observe([Event("parent", "1", 10**9)])
print(json.dumps([left, len(log.events_of("parent", 9)), len(log.events_of("child", 9))]))
"""

CLOSED_BESIDE_A_CHILD = """
import json, os, sys
from funnel.serving.state import Event, open_state
log, (mine, childs) = open_state(sys.argv[1]), (os.pipe(), os.pipe())
log.observe([Event("parent", "1", 10**9)]); log.events_of("parent", 9)
child = os.fork()
if child == 0:
    log.observe([Event("child", "1", 10**9)]); os.write(childs[1], b"x"); os.read(mine[0], 1)
    log.observe([Event("child", "2", 10**9)])
    os._exit(len(log.events_of("child", 9)))
os.read(childs[0], 1); log.close(); os.write(mine[1], b"x")
left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps([left, len(log.events_of("child", 9))]))
"""

SESSIONS_OF_ITS_OWN = """
import json, os, sys
import onnxruntime, pandas as pd
class Own(onnxruntime.InferenceSession):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.process = os.getpid()
    def run(self, *arguments):
        return super().run(*arguments) if self.process == os.getpid() else os._exit(9)
onnxruntime.InferenceSession = Own
from funnel import Live
live = Live(sys.argv[1])
row = {"item_id": [1000], "title": "x", "genres": [["Western"]], "year": 1900.0}
def answers():
    live.items.upsert(pd.DataFrame(row))
    return [one.item_id for one in live.recommend(7).items]
before, child = answers(), os.fork()
if child == 0:
    os._exit(0 if answers() == before else 1)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""

TAKES_UP = """
import json, os, sys, time
from funnel import Live
live = Live(sys.argv[1], watch=0.05)
first, child = live.version, os.fork()
if child == 0:
    end = time.monotonic() + 60
    while live.version == first and time.monotonic() < end:
        live.recommend(7, 3)
        time.sleep(0.02)
    os._exit(0 if live.version == sys.argv[2] and live.health()["watching"] else 1)
live.close()
aside = os.path.join(sys.argv[1], "CURRENT.aside")
open(aside, "w").write(sys.argv[2] + "\\n")
os.replace(aside, os.path.join(sys.argv[1], "CURRENT"))
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@forking
def test_forked_workers_write_and_know_what_each_wrote(store: Store) -> None:
    assert script(FORKS, store.folder) == [[5, 5, 5], [3, 4], []]
    again = Live(store.folder)
    assert [again.history(1000 + worker) for worker in range(3)] == [[1, 2, 3, 4, 5]] * 3
    assert not {40, 41, 42, 43} & set(ids(again.recommend("x", 500)))


@forking
def test_a_child_that_is_forked_during_a_write_writes(tmp_path: Path) -> None:
    assert script(FORKED_DURING_A_WRITE, tmp_path / "state.sqlite") == [1, 3, 1]


@forking
def test_a_child_waits_for_no_lock_of_the_parents_sessions(store: Store) -> None:
    """Which a thread may have held that the child does not have."""
    assert script(SESSIONS_OF_ITS_OWN, store.folder) == 0


@forking
def test_nothing_that_a_child_writes_is_lost_when_the_parent_closes(tmp_path: Path) -> None:
    assert script(CLOSED_BESIDE_A_CHILD, tmp_path / "state.sqlite") == [2, 2]


@forking
def test_a_forked_worker_takes_up_what_is_published(store: Store) -> None:
    assert script(TAKES_UP, store.folder, without_ranker(store)) == 0


KILLED = """
import sys
from funnel import Live
live, number = Live(sys.argv[1]), int(sys.argv[2])
while True:
    number += 1
    live.observe(("someone", 1 + number % 100))
    (live.items.delete if number % 2 else live.items.forget)([50])
    print(number, flush=True)
"""


def test_nothing_acknowledged_is_lost_with_a_killed_process(store: Store) -> None:
    number, rng = 0, np.random.default_rng(0)
    for _ in range(4):
        process = start("-c", KILLED, store.folder, number)
        assert soon(lambda process=process: "\n" in process.printed())
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        number = int(process.printed().split("\n")[-2])
        live = Live(store.folder)
        last = live.history("someone")[-1]
        assert last in {1 + number % 100, 1 + (number + 1) % 100}
        shown = 50 in ids(live.recommend("x", 500))
        if last == 1 + number % 100:
            assert shown == (number % 2 == 0)
        else:
            number += 1
        live.close()


@pytest.fixture
def disk(store: Store, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 48 MiB, with the store on it."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], capture_output=True, text=True
        )
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield Path(shutil.copytree(store.folder, place / "indexes"))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(folder: Path) -> Path:
    ballast = folder.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return ballast


@pytest.mark.parametrize("before", [True, False], ids=["a state is there", "none is there"])
def test_a_full_disk_loses_nothing_and_keeps_nothing_refused(disk: Path, before: bool) -> None:
    live, taken = Live(disk), []
    if before:
        live.observe(("before", 1))
    ballast = fill(disk)
    refused = 0
    for number in range(400):
        try:
            live.observe((f"user {number}", 1 + number % 100), *[(f"user {number}", 5)] * 50)
            taken.append(number)
        except BundleError:
            refused += 1
        assert len(live.recommend(7).items) == 10
        if refused == 3:
            break
    assert refused == 3
    with pytest.raises(BundleError, match="nothing was changed"):
        live.items.upsert(frame(list(range(1000, 3000)), [1990.0] * 2000))
    ballast.unlink()
    live.observe(("after", 2))
    for one in (live, Live(disk)):
        assert one.history("before") == ([1] if before else [])
        assert one.history("after") == [2]
        assert all(len(one.history(f"user {number}")) == 51 for number in taken)
        assert one.history(f"user {len(taken)}") == one.history(f"user {len(taken) + 1}") == []
        assert 1000 not in ids(one.recommend("x", 5000))
        one.close()


@pytest.mark.parametrize("length", [400, 1100, 2300])
def test_items_refused_for_want_of_room_leave_a_store_that_starts(disk: Path, length: int) -> None:
    """Of records of any length, also where half of one fitted."""
    live, taken = Live(disk), [1000]
    live.items.upsert(frame([1000], [1990.0], ["Western"]))
    ballast = fill(disk)
    for number in range(1001, 1400):
        try:
            live.items.upsert(frame([number], [1990.0], ["Western"]).assign(title="t" * length))
        except BundleError:
            break
        taken.append(number)
    else:
        pytest.fail("the disk was not full")
    ballast.unlink()
    live.close()
    again = Live(disk)
    assert sorted(ids(again.recommend("x", 1000, where={"genres": "Western"}))) == taken
    again.close()


def test_a_store_that_is_read_only_serves_with_all_that_was_changed(disk: Path) -> None:
    live = Live(disk)
    live.items.delete([40])
    live.observe((7, 3))
    live.close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk.parent)], check=True)
    try:
        for one in (live, Live(disk)):
            answer = one.recommend("x", 500)
            assert 40 not in ids(answer)
            assert "state_unreadable" not in answer.reasons
            assert one.history(7)[-1] == 3
            with pytest.raises(BundleError, match="cannot be written"):
                one.items.delete([41])
            with pytest.raises(BundleError, match="cannot be written"):
                one.observe((7, 4))
            assert 41 in ids(one.recommend("x", 500))
            one.close()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk.parent)], check=True)
    live.items.delete([41])
    assert 41 not in ids(live.recommend("x", 500))


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError("a bad disk"), RuntimeError("a library")])
@pytest.mark.parametrize("place", ["apply", "count"])
def test_a_failed_reload_of_any_kind_changes_nothing_and_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, place: str
) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    live.observe((7, 3))
    old, before = live.version, ids(live.recommend(7))
    other = without_ranker(store)
    store.publish(other)

    def fails(*arguments: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Overlay, place, fails)
        with pytest.raises(BundleError, match="cannot be used"):
            live.refresh()
    assert live.refused is not None
    assert live.refused.version == other
    live.items.upsert(frame([1001], [1999.0], ["Western"]))
    assert (live.version, ids(live.recommend(7))) == (old, before)
    assert set(ids(live.recommend("x", where={"genres": "Western"}))) == {1000, 1001}
    assert live.refresh()
    assert (live.version, live.refused) == (other, None)
    assert set(ids(live.recommend("x", where={"genres": "Western"}))) == {1000, 1001}


def test_the_fresher_of_change_and_bundle_wins(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([5, 6], [1900.0, 1900.0], ["Western"]))
    live.items.patch([8, 9], {"year": 1900.0})
    later = variant(store, lambda folder: (folder / "mark").write_text("x"), data_read=time.time())
    live.items.upsert(frame([6], [1901.0], ["Western"]))
    live.items.patch([9], {"year": 1901.0})
    store.publish(later)
    assert live.refresh()
    for one in (live, Live(store.folder)):
        assert ids(one.recommend("x", where={"genres": "Western"})) == [6]
        assert set(ids(one.recommend("x", where={"year": {"lt": 1950}}))) == {6, 9}


def test_a_clock_that_goes_back_does_not_make_a_change_old(store: Store) -> None:
    """The bundle's data were read an hour later than our clock shows: a change is newer all the same."""
    store.publish(
        variant(store, lambda folder: (folder / "mark").write_text("x"), data_read=time.time() + 3600)
    )
    live = Live(store.folder)
    live.items.delete([5])
    assert 5 not in ids(Live(store.folder).recommend("x", 500))


def test_a_change_that_does_not_fit_a_bundle_does_not_block_the_way_back(store: Store) -> None:
    """An item under a text id, and then a bundle whose ids are whole numbers, as before."""
    live = Live(store.folder)
    live.state.upsert(
        {"B7": {"item_id": "B7", "title": "x", "genres": ["Western"], "year": 1.0}}, time.time()
    )
    live.state.upsert(
        {"902": {"item_id": 902, "title": "x", "genres": ["Western"], "year": 1.0}}, time.time()
    )
    live.items.delete(["5"])
    assert ids(live.recommend("x", where={"genres": "Western"})) == [902]
    again = Live(store.folder)
    assert ids(again.recommend("x", where={"genres": "Western"})) == [902]
    assert 5 not in ids(again.recommend("x", 500))
    assert again.health()["state"]["skipped"] == 1


def test_a_restart_compacts_when_that_is_due(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Live(store.folder)
    live.items.upsert(frame(list(range(1000, 1040)), [1990.0 + one / 7 for one in range(40)]))
    live.close()
    monkeypatch.setattr(follower, "COMPACT_AT", 10)
    again = Live(store.folder)
    assert soon(lambda: again.items.waiting == 0)
    assert {*range(1000, 1040)} <= set(ids(again.recommend(7, k=500)))


def test_health_has_a_size_and_a_bound_for_all_that_grows(store: Store) -> None:
    live = Live(store.folder)
    live.observe((7, 3))
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    live.recommend(7, where={"year": {"gt": 1990}})
    told = json.loads(json.dumps(live.health(), allow_nan=False))
    assert told["version"] == live.version
    assert told["state"]["events"] == told["state"]["items"] == 1
    assert told["state"]["error"] is None
    assert told["age_seconds"] >= 0
    for name, one in told["memory"].items():
        assert 0 <= one["size"] <= one["bound"], name
    assert told["memory"]["items_changed"]["size"] == 1
    assert told["memory"]["filter_bytes"]["size"] > 0
    assert told["memory"]["popular_rankings"]["bound"] == 8
    with pytest.raises(FunnelError, match="moment"):
        Live(store.folder, moment="then")  # type: ignore[arg-type]


def test_a_request_goes_by_the_clock_where_that_is_asked_for(store: Store) -> None:
    by_data, by_clock = Live(store.folder), Live(store.folder, moment="now")
    before = after = 0
    while before != after or not before:  # within one second of the clock
        before, answer, after = int(time.time()), by_clock.recommend(7), int(time.time())
    explicit = by_data.recommend(7, time=before)
    assert ids(answer) == ids(explicit)
    assert [one.score for one in answer.items] == pytest.approx([one.score for one in explicit.items])
