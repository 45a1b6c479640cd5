"""A published bundle whose hashes are right and whose row numbers lead outside does not end the process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from funnel.artifacts import Store
from tests.processes import python
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

#: Opens each version and asks for lists: "refused" or "answered". A crash prints nothing.
ASKS = """
import json, sys
from funnel import Live
from funnel.errors import FunnelError
for version in sys.argv[2:]:
    try:
        live = Live(sys.argv[1], version)
        for user in range(1, 81):
            live.recommend(user, 10)
        print(json.dumps("answered"), flush=True)
    except FunnelError:
        print(json.dumps("refused"), flush=True)
"""

BROKEN: dict[str, tuple[str, int]] = {
    "items of histories": ("users/history_items.npy", 10**8),
    "negative items of histories": ("users/history_items.npy", -(10**8)),
    "offsets of histories": ("users/history_offsets.npy", 10**12),
    "neighbours": ("statistics/covisitation.items.npy", 10**8),
    "negative neighbours": ("statistics/covisitation.items.npy", -(10**8)),
    "offsets of neighbours": ("statistics/covisitation.offsets.npy", 10**12),
    "negative offsets of neighbours": ("statistics/covisitation.offsets.npy", -1),
    "offsets of events": ("statistics/events.offsets.npy", 10**12),
}


def filled(name: str, value: int) -> Callable[[Path], None]:
    """An array that holds nothing but one number."""

    def change(folder: Path) -> None:
        values = np.load(folder / name)
        values[:] = value
        np.save(folder / name, values)

    return change


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def test_numbers_out_of_range_are_refused_in_a_process_that_goes_on(store: Store) -> None:
    versions = [variant(store, filled(*how), f"broken-{n}") for n, how in enumerate(BROKEN.values())]
    sound = store.path("current").name
    done = python("-c", ASKS, store.folder, *versions, sound)
    assert done.returncode == 0, done.stderr[-2000:]
    told = dict(zip([*BROKEN, "sound"], map(json.loads, done.stdout.splitlines()), strict=True))
    assert told == {**dict.fromkeys(BROKEN, "refused"), "sound": "answered"}
