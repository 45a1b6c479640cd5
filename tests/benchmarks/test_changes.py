"""The benchmark of what a change costs, small: everything is timed, beside another funnel too."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks import changes, changes_world
from benchmarks.changes import HERE, _without_times, main, show
from benchmarks.changes_calls import milliseconds, timed
from funnel.artifacts import Store
from tests.tiny import TinyBuild

CALLS, PATCHES = 5, 10

#: Lies beside the earlier funnel, whose processes alone run it: it writes down what they call.
WATCH = """
import atexit, json, sys
from collections import Counter
from pathlib import Path

from funnel.serving.live import Live
from funnel.serving.state.items import LiveItems

calls = Counter()

def counted(cls, name, n):
    own = getattr(cls, name)
    def call(self, *given, **named):
        calls[name] += n(given)
        return own(self, *given, **named)
    setattr(cls, name, call)

for name in ("upsert", "delete", "patch"):
    counted(LiveItems, name, lambda given: 1)
counted(Live, "observe", len)
about = {"arguments": sys.orig_argv[3:], "calls": calls}
path = Path(__file__).with_name(sys.orig_argv[3] + ".json")
atexit.register(lambda: path.write_text(json.dumps(about)))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of one run with two funnels, and what it wrote."""
    folder = tmp_path_factory.mktemp("changes")
    (folder / "earlier").mkdir()
    (folder / "earlier" / "funnel").symlink_to(HERE / "src" / "funnel")
    (folder / "earlier" / "sitecustomize.py").write_text(WATCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes_world, "ADS", 200)
        patch.setattr(changes_world, "USERS", 200)
        patch.setattr(changes, "MOST_EARLIER", 150)
        main(
            items=[2_500], events=[100, 200], calls=CALLS, batch=100, seconds=0.3,
            earlier=folder / "earlier", work=folder / "work", results=folder,
        )  # fmt: skip
    found: dict[str, Any] = json.loads((folder / "changes.json").read_text())
    assert str(folder) not in json.dumps(found)
    return folder, found


def watched(folder: Path, part: str) -> dict[str, Any]:
    """What the earlier funnel's process was told, and what it called."""
    found: dict[str, Any] = json.loads((folder / "earlier" / f"{part}.json").read_text())
    return found


def test_every_kind_of_change_is_timed_with_each_funnel(measured: tuple[Path, dict[str, Any]]) -> None:
    folder, about = measured
    by_source = about["items"]["2500"]
    assert set(by_source) == {"now", "earlier"}
    for found in by_source.values():
        assert found["items"] == 2_500
        for kind in ("upsert of one that is there", "upsert of a new one", "delete", "patch"):
            assert {found[kind][what]["n"] for what in ("change", "filtered", "request")} == {CALLS}
        assert found["patches"]["items_per_second"] > 0
        assert found["patches"]["batch"] == 100
    seen = watched(folder, "items")
    assert seen["arguments"][2:] == [f"--calls={CALLS}", "--batch=100"]
    each = CALLS + 1  # the first, which builds what it needs, is told apart
    assert seen["calls"] == {"upsert": 2 * each, "delete": each, "patch": each + PATCHES}


def test_clicks_are_timed_alone_and_beside_a_reader(measured: tuple[Path, dict[str, Any]]) -> None:
    folder, about = measured
    assert set(about["clicks"]["now"]) == {"items", "before", "100", "200"}
    assert set(about["clicks"]["earlier"]) == {"items", "before", "100"}  # more takes it too long
    for found in about["clicks"].values():
        assert found["100"]["alone"]["n"] == 10 * CALLS
        assert {found["100"]["in_turns"][name]["n"] for name in ("click", "request")} == {300}
        assert found["100"]["reader"]["n"] > 0
    beside = about["clicks"]["earlier"]["100"]["beside_reader"]["n"]
    assert beside > 0
    seen = watched(folder, "clicks")
    assert seen["arguments"][2:] == ["--sizes=100", f"--calls={10 * CALLS}", "--seconds=0.3"]
    assert seen["calls"] == {"observe": 100 + 10 * CALLS + 300 + beside}


def test_the_store_that_copies_are_made_of_is_as_it_was(measured: tuple[Path, dict[str, Any]]) -> None:
    """So that each part begins with a bundle that nobody has changed."""
    store = Store(measured[0] / "work" / "indexes-2500")
    assert not (store.folder / "live").exists()
    assert not (measured[0] / "work" / "copy").exists()
    (manifest,) = store.versions()
    assert store.verify(manifest.version).data_read > 0


def test_the_tables_hold_what_was_measured(
    measured: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    show(measured[1])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for source, found in measured[1]["items"]["2500"].items():
        change, after = (found["delete"][what] for what in ("change", "filtered"))
        figures = [f"{one[name]:.3f}" for one in (change, after) for name in ("p50", "p99")]
        (row,) = (row for row in rows if {source, "delete"} <= set(row))
        assert [cell for cell in row if "." in cell] == [*figures, str(found["delete"]["first"])]
    for found in measured[1]["clicks"].values():
        one = found["100"]
        figures = [
            f"{one[what][name]:.3f}"
            for what in ("alone", "beside_reader", "reader")
            for name in ("p50", "p99")
        ]
        assert [*figures, str(one["mib"])] in [[cell for cell in row if "." in cell] for row in rows]


def test_times_are_milliseconds_of_each_call() -> None:
    done: list[int] = []
    assert len(timed(lambda: done.append(1) for _ in range(7))) == len(done) == 7
    found = milliseconds([number / 1000 for number in range(101)])
    assert found == {"p50": 50.0, "p99": 99.0, "max": 100.0, "n": 101}


def test_an_earlier_funnel_is_given_a_manifest_that_it_reads(built: TinyBuild, tmp_path: Path) -> None:
    """Without how far the data reach, whole by its checksum, and not written through the link."""
    of, to = built.indexes / built.built.version, tmp_path / built.built.version
    to.mkdir()
    os.link(of / "manifest.json", to / "manifest.json")
    before = (of / "manifest.json").read_bytes()
    _without_times(tmp_path)
    assert (of / "manifest.json").read_bytes() == before
    kept, given = (json.loads((folder / "manifest.json").read_text()) for folder in (of, to))
    assert set(kept) - set(given) == {"data_read", "data_end"}
    checksum = given.pop("checksum")
    assert checksum == hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    assert given == {name: value for name, value in kept.items() if name in given}
