"""A bundle whose hashes are right and whose numbers are not: refused by the file's name, never a crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funnel.bundle.contents import Contents, load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout
from funnel.errors import BundleError
from funnel.serving.request import of_users
from tests.tiny import TinyBuild

#: Arrays that are nobody's row numbers: any number will do in them, and its order too.
FREE = {
    "items/filters": "sorted", "statistics": "weights", "towers": "item_vectors", "users": "history_times",
    "holdout": "times",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy; each test leaves it as it was."""
    return Path(shutil.copytree(built.built.folder, tmp_path_factory.mktemp("bundle") / "copy"))


def arrays(folder: Path) -> list[Path]:
    """Every array that loading reads."""
    return [path for path in sorted(folder.rglob("*.npy")) if path.name != "item_ids.npy"]


def load(folder: Path) -> Contents:
    contents = load_contents(folder)
    Holdout.load(folder / HOLDOUT, contents)
    return contents


def refused(folder: Path, path: Path) -> None:
    """The folder is refused, by the name of the file."""
    with pytest.raises(BundleError, match=path.name):
        load(folder)


def with_changes(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """Save what a change makes of an array; what was there before."""
    before = path.read_bytes()
    np.save(path, change(np.load(path)), allow_pickle=True)
    return before


def other_order(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder(">"))


FOREIGN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "another type": lambda values: values.astype("S9"),
    "another byte order": other_order,
    "another shape": lambda values: values[..., None],
    "Fortran's order": lambda values: np.asfortranarray(np.stack([values, values], axis=-1)),
    "no dimension": lambda values: np.asarray(values.reshape(-1)[0]),
    "objects": lambda values: values.astype(object),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_array_is_refused_by_its_name(folder: Path, kind: str) -> None:
    for path in arrays(folder):
        if kind == "another byte order" and np.load(path).dtype.itemsize == 1:
            continue  # a byte has none
        before = with_changes(path, FOREIGN[kind])
        refused(folder, path)
        path.write_bytes(before)
    load(folder)


@pytest.mark.parametrize("damage", ["cut", "empty", "no array", "a huge shape", "two arrays"])
def test_a_file_that_is_no_whole_array_is_refused_by_its_name(folder: Path, damage: str) -> None:
    for path in arrays(folder):
        before = path.read_bytes()
        if damage == "two arrays":
            with path.open("wb") as file:
                np.savez(file, a=np.zeros(3), b=np.zeros(3))
        else:
            size = len(before)
            path.write_bytes(
                {
                    "cut": before[: size - 1] if size > 128 else b"",
                    "empty": b"",
                    "no array": b"nothing of the kind",
                    "a huge shape": before.replace(b"'shape': (", b"'shape': (9999999999,", 1),
                }[damage]
            )
        refused(folder, path)
        path.write_bytes(before)
    load(folder)


@pytest.mark.parametrize("value", [10**8, -(10**8), 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("place", [0, -1])
def test_a_number_that_leads_outside_is_refused(folder: Path, value: int, place: int) -> None:
    for path in arrays(folder):
        kept = any(path.parts[-len(at.split("/")) - 1 : -1] == tuple(at.split("/")) and name in path.name
                   for at, name in FREE.items())  # fmt: skip
        if kept or np.load(path).dtype.kind not in "i" or np.load(path).size == 0 or path.name == "ids.npy":
            continue

        def change(values: np.ndarray) -> np.ndarray:
            values.reshape(-1)[place] = value
            return values

        before = with_changes(path, change)
        if path.name not in ("events.times.npy", "events.moments.npy", "events.end.edges.npy"):
            refused(folder, path)
        path.write_bytes(before)
    load(folder)


@pytest.mark.parametrize("name", ["users/history_offsets.npy", "statistics/covisitation.offsets.npy",
                                  "statistics/events.offsets.npy", "items/filters/2.offsets.npy",
                                  "holdout/targets_offsets.npy"])  # fmt: skip
def test_lists_that_fall_back_are_refused(folder: Path, name: str) -> None:
    """Within bounds, and yet one list would have less than no places."""

    def change(values: np.ndarray) -> np.ndarray:
        values[len(values) // 2] = values[-1]
        return values

    before = with_changes(folder / name, change)
    refused(folder, folder / name)
    (folder / name).write_bytes(before)


@pytest.mark.parametrize("name", ["items/ids.npy", "users/ids.npy"])
@pytest.mark.parametrize(
    "change", [lambda ids: ids[::-1].copy(), lambda ids: np.sort(np.append(ids[1:], ids[1]))]
)
def test_ids_that_are_not_sorted_or_not_distinct_are_refused(
    folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    before = with_changes(folder / name, change)
    refused(folder, folder / name)
    (folder / name).write_bytes(before)


def test_tables_of_different_sizes_are_refused(folder: Path) -> None:
    for path in arrays(folder):
        if len(np.load(path)) < 2 or path.parent.name == "encoder":
            continue
        before = with_changes(path, lambda values: values[:-1])
        with pytest.raises(BundleError):
            load(folder)
        path.write_bytes(before)
    load(folder)


def lists(about: dict[str, Any], **options: Any) -> dict[str, Any]:
    """statistics.json with other options of its neighbour lists."""
    return about | {"neighbours": about["neighbours"] | {"covisitation": options}}


#: Settings that would make every answer wait, fill the memory, or read something else.
WRONG: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "no window": ("statistics/statistics.json", lambda about: about | {"windows": [0, None]}),
    "a window before": ("statistics/statistics.json", lambda about: about | {"windows": [-(10**9)]}),
    "a clock that is none": ("statistics/statistics.json", lambda about: about | {"clock": "sun"}),
    "weights that grow": ("statistics/statistics.json", lambda about: lists(about, decay=9.0, reach=5)),
    "a reach of everything": (
        "statistics/statistics.json",
        lambda about: lists(about, decay=0.8, reach=10**30),
    ),
    "no margin": ("index/index.json", lambda about: about | {"margin": -1.0}),
    "a queue of everything": ("index/index.json", lambda about: about | {"params": {"efSearch": 2**40}}),
    "a parameter that it has not": ("index/index.json", lambda about: about | {"params": {"nprobe": 1}}),
    "a catalogue of another size": ("items/filters/filters.json", lambda about: about | {"n": 10**12}),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_settings_that_cannot_be_are_refused_by_the_file(folder: Path, kind: str) -> None:
    name, change = WRONG[kind]
    path = folder / name
    before = path.read_bytes()
    path.write_text(json.dumps(change(json.loads(before))))
    refused(folder, path)
    path.write_bytes(before)


def test_more_positions_than_items_are_as_many_as_items(folder: Path) -> None:
    """A number that would fill the memory is cut to what there is, and the answers are the same."""
    path = folder / "serve.json"
    before = path.read_bytes()
    expected = answers(load(folder), k=200)
    settings = json.loads(before)
    settings["retrieve"]["k"] = settings["rerank"]["pool"] = 10_000
    path.write_text(json.dumps(settings))
    assert answers(load(folder), k=200) == expected
    path.write_bytes(before)


def answers(contents: Contents, k: int = 10) -> list[list[int]]:
    """What the first users are given."""
    found: list[list[int]] = (
        contents.without_ranker().funnel(k)(of_users(contents, np.arange(5))).items.tolist()
    )
    return found


def test_any_number_anywhere_is_refused_or_answered_with(folder: Path) -> None:
    """A seeded thousand of changes: whatever is not refused has answers of rows that are there."""
    rng = np.random.default_rng(0)
    for path in arrays(folder):
        if np.load(path).dtype.kind == "U" or np.load(path).size == 0:
            continue
        for _ in range(4):

            def change(values: np.ndarray) -> np.ndarray:
                at = rng.integers(values.size)
                wild = [0, -1, 1, 2**31 - 1, -(2**31), 10**5, rng.integers(-(10**6), 10**6)]
                values.reshape(-1)[at] = rng.choice(wild)
                return values

            before = with_changes(path, change)
            try:
                contents = load(folder)
            except BundleError:
                continue
            finally:
                path.write_bytes(before)
            rows = np.array(answers(contents))
            assert ((rows >= -1) & (rows < 200)).all()
