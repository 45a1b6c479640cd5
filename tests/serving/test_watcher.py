"""What stood in the way of a newly published bundle may pass: it is tried again, less and less often."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError
from funnel.serving.watcher import LONGEST, Tries, Watcher
from tests.tiny import TinyBuild


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


def looks_of_tries(tries: Tries, looks: int, *, well: Callable[[int], bool]) -> list[int]:
    """The looks at which it was due, the file being the same all the time."""
    found = []
    for look in range(looks):
        if tries.due((1, 1)):
            found.append(look)
            tries.ended(well=well(look))
    return found


def test_tries_double_their_distance_up_to_a_bound() -> None:
    found = looks_of_tries(Tries(seconds=50.0), 60, well=lambda look: False)
    assert found[:4] == [0, 1, 3, 7]
    assert {b - a for a, b in pairwise(found[3:])} == {int(LONGEST / 50.0)}


def test_what_went_well_is_left_alone_until_the_file_is_another() -> None:
    tries = Tries(seconds=1.0)
    assert looks_of_tries(tries, 50, well=lambda look: look >= 3) == [0, 1, 3]
    assert tries.due((2, 2))
    tries.ended(well=False)
    assert tries.due((3, 3))  # at once, whatever the pause


def test_a_wait_longer_than_the_bound_is_a_try_a_look() -> None:
    assert looks_of_tries(Tries(seconds=10 * LONGEST), 4, well=lambda look: False) == [0, 1, 2, 3]


class Stumbling:
    """Fails a few times, each time in another way."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors, self.calls = errors, 0

    def refresh(self) -> bool:
        self.calls += 1
        if self.errors:
            raise self.errors.pop()
        return True


def test_any_kind_of_error_is_tried_again(tmp_path: Path) -> None:
    told = Stumbling([MemoryError("no room"), OSError("a bad disk"), BundleError("damaged")])
    watcher = Watcher(told, tmp_path / "CURRENT", 0.01)
    assert soon(lambda: told.calls == 4)
    watcher.stop()
    assert told.errors == []


@pytest.mark.parametrize("late", ["manifest.json", "items/columns.arrow", "."])
def test_a_bundle_that_arrives_in_pieces_is_taken_up(built: TinyBuild, tmp_path: Path, late: str) -> None:
    """CURRENT is there before a file of the version, or before the version itself, as a copy may leave it."""
    shutil.copytree(built.indexes, tmp_path / "indexes")
    store = Store(tmp_path / "indexes")
    with store.writing("other") as draft:
        shutil.copytree(store.path("current"), draft.folder, dirs_exist_ok=True)
        (draft.folder / "manifest.json").unlink()
        (draft.folder / "mark").write_text("x")
        draft.describe(towers_fingerprint=store.verify("current").towers_fingerprint)
    whole, away = store.folder / draft.version / late, tmp_path / "late"
    live = Live(store.folder, watch=0.05)
    whole.rename(away)
    aside = store.folder / "aside"
    aside.write_text(f"{draft.version}\n")
    aside.replace(store.folder / "CURRENT")
    assert soon(lambda: live.refused is not None)
    assert live.version != draft.version
    away.rename(whole)
    assert soon(lambda: live.version == draft.version)
    assert soon(lambda: live.refused is None)
    live.close()
