"""What was published before: going back, what is kept, and a record for every change."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from funnel.artifacts import Store
from funnel.artifacts import store as stores
from funnel.artifacts.retention import retain
from funnel.artifacts.writing import changing
from funnel.errors import BundleError

from .test_store import hidden, nobody, write


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "indexes")


def versions(store: Store, n: int) -> list[str]:
    return [write(store, {"a": bytes([i])}) for i in range(n)]


def test_rollback_goes_back_through_what_was_published(store: Store) -> None:
    a, b, c, _never_published = versions(store, 4)
    for version in (a, b, c):
        store.publish(version)
    assert store.previous() == b
    assert (store.rollback(), store.current()) == (b, b)
    assert (store.rollback(), store.current()) == (a, a)  # further back, not forward to c
    with pytest.raises(BundleError, match=f"was published before {a}"):
        store.rollback()
    assert store.current() == a
    store.publish(c)
    assert store.previous() == a
    said = [(one.action, one.version, one.replaced) for one in store.publications()]
    assert said == [
        ("publish", a, ""), ("publish", b, a), ("publish", c, b),
        ("rollback", b, c), ("rollback", a, b), ("publish", c, a),
    ]  # fmt: skip


def test_publishing_what_is_published_is_no_change(store: Store) -> None:
    (a,) = versions(store, 1)
    store.publish(a)
    store.publish(a)
    assert len(store.publications()) == 1
    assert store.previous() is None


def test_nothing_published_cannot_be_rolled_back(store: Store) -> None:
    versions(store, 1)
    with pytest.raises(BundleError, match="nothing is published"):
        store.rollback()


def test_a_damaged_previous_version_is_not_gone_back_to(store: Store) -> None:
    a, b = versions(store, 2)
    store.publish(a)
    store.publish(b)
    (store.path(a) / "a").write_bytes(b"!")
    with pytest.raises(BundleError, match="a was changed"):
        store.rollback()
    assert store.current() == b
    assert len(store.publications()) == 2


def test_a_store_from_before_the_history_can_be_rolled_back(store: Store) -> None:
    a, b = versions(store, 2)
    (store.folder / stores.CURRENT).write_text(f"{a}\n")
    store.publish(b)
    assert store.rollback() == a


def test_a_torn_or_damaged_line_of_the_history_is_stepped_over(store: Store) -> None:
    a, b, c = versions(store, 3)
    store.publish(a)
    store.publish(b)
    history = store.folder / "PUBLICATIONS.jsonl"
    whole = history.read_bytes()
    history.write_bytes(whole + whole[:20])  # a publisher was killed while it wrote
    assert store.previous() == a
    store.publish(c)
    assert [one.version for one in store.publications()] == [a, b, c]
    first, rest = history.read_bytes().split(b"\n", 1)
    history.write_bytes(first[:-3] + b"\n" + rest)
    assert [one.version for one in store.publications()] == [b, c]
    assert store.rollback() == b


def test_two_publishers_that_judged_beside_the_same_version(store: Store) -> None:
    a, b, c = versions(store, 3)
    store.publish(a, instead_of=None)
    store.publish(b, instead_of=a)
    with pytest.raises(BundleError, match=f"{b} is published now.*publish again"):
        store.publish(c, instead_of=a)
    assert store.current() == b
    assert len(store.publications()) == 2


def test_the_newest_are_kept_and_what_is_served_whatever_its_age(store: Store) -> None:
    made = versions(store, 8)
    other = write(store, {"a": b"other"}, name="books")
    store.publish(made[0])
    store.publish(made[1])
    gone = retain(store, 3)
    assert sorted(gone) == sorted(made[2:5])
    left = {one.version for one in store.versions()}
    assert left == {made[0], made[1], *made[5:], other}
    assert hidden(store) == []
    assert retain(store, 3) == []
    assert store.rollback() == made[0]
    assert retain(store, 1, also=[made[5]]) == [made[6], made[1]]  # made[1] was rolled back
    assert {made[0], made[5], made[7]} <= {one.version for one in store.versions()}


def test_the_newest_are_kept_where_nothing_was_ever_published(store: Store) -> None:
    made = versions(store, 4)
    assert retain(store, 2, also=[made[0]]) == [made[1]]
    assert store.previous() is None


def test_a_clock_that_goes_back_keeps_the_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + cls.ahead

    monkeypatch.setattr(stores, "datetime", Clock)
    made = []
    for i, hours in enumerate((5, 0, -7, 1)):
        Clock.ahead = timedelta(hours=hours)
        made.append(write(store, {"a": bytes([i])}))
        store.publish(made[-1])
    assert [one.version for one in store.versions()] == made[::-1]
    assert retain(store, 2) == [made[1]]  # the first published is the anchor
    assert store.rollback() == made[2]


def test_a_read_only_store_keeps_its_history() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = Store(Path(folder) / "indexes")
        a, b = versions(store, 2)
        store.publish(a)
        store.publish(b)
        store.folder.chmod(0o555)
        with nobody():
            assert store.previous() == a
            for change in (store.rollback, lambda: store.publish(a), lambda: retain(store, 1)):
                with pytest.raises(BundleError, match="cannot be written"):
                    change()
            assert store.current() == b
            assert [one.version for one in store.publications()] == [a, b]
        store.folder.chmod(0o755)


FULL = """
import resource, signal, sys
import numpy as np
from funnel.artifacts import Store
from funnel.artifacts.retention import retain
from funnel.artifacts.writing import changing
from funnel.errors import BundleError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, limit, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
store = Store(folder)
newest = store.versions()[0].version
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if what == "publish":
        store.publish(newest)
    else:
        with store.writing("movies") as draft:
            if what == "numpy": np.save(draft.folder / "big.npy", np.zeros(100_000))
            if what == "python": (draft.folder / "big").write_bytes(bytes(800_000))
            if what == "arrow":
                import pandas as pd
                pd.DataFrame({"x": np.random.default_rng(0).random(100_000)}).to_parquet(draft.folder / "big")
            if what == "faiss":
                import faiss
                index = faiss.IndexFlatIP(8)
                index.add(np.zeros((100_000, 8), dtype=np.float32))
                faiss.write_index(index, str(draft.folder / "big"))
            if what == "manifest": (draft.folder / "small").write_bytes(b"x")
except BundleError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize(
    ("what", "limit"),
    [("numpy", 50_000), ("python", 50_000), ("arrow", 50_000), ("faiss", 50_000), ("manifest", 100),
     ("publish", 1)],
)  # fmt: skip
def test_a_full_disk_is_a_clear_error_and_changes_nothing(store: Store, what: str, limit: int) -> None:
    a, b = versions(store, 2)
    store.publish(a)
    before = sorted(path.name for path in store.folder.iterdir())
    history = (store.folder / "PUBLICATIONS.jsonl").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(store.folder), str(limit), what], capture_output=True, text=True
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert store.current() == a
    assert sorted(path.name for path in store.folder.iterdir()) == before
    assert (store.folder / "PUBLICATIONS.jsonl").read_bytes() == history
    store.publish(b)
    assert store.rollback() == a


def test_a_full_disk_is_told_once_and_in_words(store: Store, tmp_path: Path) -> None:
    """Where a folder was copied, with the file; where another store said it already, as that said it."""
    copied = shutil.Error([("there", "here/x.npy", "[Errno 28] No space left on device: 'here/x.npy'")] * 3)
    said = "cannot be written: [Errno 28] No space left on device: 'here/x.npy'; nothing was changed"
    with (
        pytest.raises(BundleError, match=re.escape(f"{store.folder} {said}") + "$"),
        Store(tmp_path / "outer").writing("a"),
        store.writing("a"),
    ):
        raise copied
    with pytest.raises(BundleError, match=r"cannot be written: No space left on device$"), changing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
