"""Compacting loses nothing and doubles nothing, wherever it is killed; a person's rows go from all of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from funnel.errors import DataError
from funnel.impressions import ReadFigures, Recorder, as_line, read
from funnel.impressions.compact import compact, remove_before
from funnel.impressions.erase import erase, erase_where
from funnel.impressions.files import hour_of
from funnel.impressions.reader import files_of
from tests.impressions.records import NOW, impression, same


def filled(folder: Path, *numbers: int, **fields: Any) -> Path:
    recorder = Recorder(folder)
    for number in numbers:
        recorder.put(partial(impression, number, **fields))
    recorder.close()
    return folder


def numbers_in(folder: Path) -> list[int]:
    return sorted(int(one.id, 16) for one in read(folder))


def suffixes(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if not path.name.startswith("."))


def test_closed_files_become_one_an_hour_and_are_read_the_same(tmp_path: Path) -> None:
    filled(tmp_path, *range(50))
    filled(tmp_path, *range(50, 60), user=None, items=("a", "b", "c"), scores=[1, 0.5, 0.25])
    filled(tmp_path, 60, time=NOW + 3600)
    before = {one.id: one for one in read(tmp_path)}
    figures = compact(tmp_path)
    assert (figures.files, figures.read) == (3, 61)
    assert suffixes(tmp_path) == [".parquet", ".parquet"]
    after = {one.id: one for one in read(tmp_path)}
    assert before.keys() == after.keys()
    assert all(same(before[name], after[name]) for name in before)
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.parquet"))
    assert compact(tmp_path) == ReadFigures()


def test_a_file_that_is_still_written_is_left(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    now = 4_000_000_000  # an hour that is not over
    recorder.put(partial(impression, 1, time=now))
    assert recorder.flush()
    assert compact(tmp_path).files == 0
    recorder.put(partial(impression, 2, time=now))
    recorder.close()
    assert compact(tmp_path).read == 2
    assert numbers_in(tmp_path) == [1, 2]


def test_a_later_file_of_an_hour_is_another(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    compact(tmp_path)
    filled(tmp_path, 2)
    compact(tmp_path)
    assert suffixes(tmp_path) == [".parquet"] * 2
    assert numbers_in(tmp_path) == [1, 2]


def test_torn_and_damaged_lines_are_counted(tmp_path: Path) -> None:
    (tmp_path / "2026-09-21T14.host-1-aa.jsonl").write_bytes(as_line(impression(1)) + b"{}\n" + b'{"id":"0')
    figures = compact(tmp_path)
    assert (figures.read, figures.torn, figures.damaged) == (1, 1, 1)
    assert numbers_in(tmp_path) == [1]


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("call", range(1, 12))
def test_killed_anywhere_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Each call that changes the disk is the last one in turn, before it is done."""
    filled(tmp_path, *range(5))
    filled(tmp_path, *range(5, 10))
    filled(tmp_path, 10, time=NOW + 3600)
    left = call

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return real(*args, **kwargs)

        return instead

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "chmod"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        patch.setattr("funnel.impressions.compact.sync", dying(os.stat))
        try:
            compact(tmp_path)
        except Killed:
            pass
        else:
            assert left > 0
    assert numbers_in(tmp_path) == list(range(11))
    compact(tmp_path)
    assert numbers_in(tmp_path) == list(range(11))
    assert set(suffixes(tmp_path)) == {".parquet"}
    assert not list(tmp_path.glob(".*.new"))


def test_what_is_compacted_while_it_is_read_is_read_once(tmp_path: Path) -> None:
    filled(tmp_path, *range(5))
    filled(tmp_path, *range(5, 10))
    filled(tmp_path, *range(10, 15), time=NOW + 3600)
    reading = read(tmp_path)
    ids = [next(reading).id]
    compact(tmp_path)
    ids += [one.id for one in reading]
    assert sorted(int(name, 16) for name in ids) == list(range(15))


def test_nobody_compacts_between_a_look_for_files_and_their_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, *range(5))
    filled(tmp_path, 9, time=NOW + 3600)
    compact(tmp_path)  # whoever compacts has left the lock behind
    filled(tmp_path, *range(5, 10))
    others: list[threading.Thread] = []

    def looked(folder: Path, hour: int) -> list[Path]:
        files = files_of(folder, hour)
        others.append(threading.Thread(target=compact, args=(folder,)))
        others[-1].start()
        others[-1].join(0.3)
        return files

    monkeypatch.setattr("funnel.impressions.reader.files_of", looked)
    ids = [int(one.id, 16) for one in read(tmp_path)]
    for other in others:
        other.join(30)
    assert sorted(ids) == [*range(10), 9]
    assert set(suffixes(tmp_path)) == {".parquet"}


def test_a_damaged_compacted_file_is_named(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    compact(tmp_path)
    (path,) = tmp_path.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=path.name):
        list(read(tmp_path))


def test_whole_hours_before_a_moment_are_removed(tmp_path: Path) -> None:
    hour = hour_of(NOW)
    for number, at in enumerate([hour - 7200, hour - 1, hour, hour + 10]):
        filled(tmp_path, number, time=at)
    compact(tmp_path)
    filled(tmp_path, 9, time=hour - 7200)
    assert remove_before(tmp_path, hour + 100) == 3
    assert numbers_in(tmp_path) == [2, 3]


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("user", [7, "u7", 'ü"\\7', "7"])
def test_a_person_is_erased_and_nobody_else(tmp_path: Path, compacted: bool, user: Any) -> None:
    for number in range(30):
        filled(tmp_path, number, user=[user, 77, "u77", None][number % 4], context={"device": f"{user}"})
    if compacted:
        compact(tmp_path)
    assert erase(tmp_path, str(user)) == 8
    assert erase(tmp_path, str(user)) == 0
    rest = list(read(tmp_path))
    assert len(rest) == 22
    assert {one.user for one in rest} == {77, "u77", None}
    compact(tmp_path)
    assert len(list(read(tmp_path))) == 22


def test_erased_lines_are_gone_from_the_disk_also_while_the_file_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(partial(impression, 1, user="secret-name", time=4_000_000_000))
    assert recorder.flush()
    assert erase(tmp_path, "secret-name") == 1
    recorder.put(partial(impression, 2, user="another", time=4_000_000_000))
    recorder.close()
    (path,) = tmp_path.glob("*.jsonl")
    assert b"secret-name" not in path.read_bytes()
    figures = ReadFigures()
    assert [int(one.id, 16) for one in read(tmp_path, figures=figures)] == [2]
    assert (figures.torn, figures.damaged) == (0, 0)


def test_erasing_by_a_rule_leaves_files_without_any_as_they_are(tmp_path: Path) -> None:
    filled(tmp_path, 1, user="a")
    filled(tmp_path, 2, user="b", time=NOW + 3600)
    compact(tmp_path)
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("*.parquet")}
    assert erase_where(tmp_path, lambda one: one.user == "a") == 1
    after = {path.name: path.stat().st_ino for path in tmp_path.glob("*.parquet")}
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in before) == 1
    assert numbers_in(tmp_path) == [2]


def test_where_there_is_no_log_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert (erase(folder, "x"), compact(folder), list(read(folder))) == (0, ReadFigures(), [])
    assert not folder.exists()
