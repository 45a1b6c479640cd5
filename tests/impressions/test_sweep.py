"""The log does not grow for ever where nobody ingests, and a wrong clock removes nothing."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from funnel.impressions import ImpressionsConfig, Recorder, as_line, read
from funnel.impressions.compact import compact
from funnel.impressions.files import hour_of, hour_text, new_file
from funnel.impressions.locks import rewriting
from funnel.impressions.sweep import Retention, sweep
from tests.impressions.records import impression

DAY, HOUR = 86_400, 3_600
NOW = hour_of(1_790_000_000) + 60


def wrote(folder: Path, *times: int) -> None:
    """One answer each, in the file of its hour, by a process that is gone."""
    folder.mkdir(exist_ok=True)
    for time_ in times:
        line = as_line(impression(time_ % 2**31, time=float(time_)))
        (folder / f"{hour_text(hour_of(time_))}.host-1-{time_:x}.jsonl").write_bytes(line)


def times_in(folder: Path) -> list[int]:
    return sorted(int(one.time) for one in read(folder))


def days(first: int, last: int) -> list[int]:
    """An answer each six hours, of so many days before now."""
    return [NOW - number * 6 * HOUR for number in range(4 * last, 4 * first + 1)]


def test_what_is_older_than_is_kept_goes_and_the_rest_stays(tmp_path: Path) -> None:
    wrote(tmp_path, *days(20, 0))
    compact(tmp_path)
    swept = sweep(tmp_path, Retention(keep=5 * DAY), NOW)
    assert swept is not None
    assert swept.removed == 4 * 15
    assert min(times_in(tmp_path)) >= NOW - 5 * DAY - HOUR
    assert swept.size == sum(path.stat().st_size for path in tmp_path.glob("2*"))
    assert sweep(tmp_path, Retention(keep=5 * DAY), NOW).removed == 0  # type: ignore[union-attr]


def test_beyond_its_size_the_oldest_hours_go_ingested_or_not(tmp_path: Path) -> None:
    wrote(tmp_path, *days(3, 0))
    one = next(tmp_path.iterdir()).stat().st_size
    swept = sweep(tmp_path, Retention(size=5 * one + 20), NOW)
    assert swept is not None
    assert (swept.removed, len(times_in(tmp_path))) == (13 - 5, 5)
    assert times_in(tmp_path) == sorted(days(3, 0))[-5:]
    assert swept.size <= 5 * one + 20


@pytest.mark.parametrize("ahead", [2 * HOUR, 40 * DAY, 400 * DAY])
def test_a_clock_that_jumps_ahead_makes_nothing_old(tmp_path: Path, ahead: int) -> None:
    wrote(tmp_path, *days(3, 0))
    before = times_in(tmp_path)
    wrote(tmp_path, NOW + ahead, NOW + ahead + HOUR)  # what it wrote while it was wrong
    swept = sweep(tmp_path, Retention(keep=4 * DAY), NOW + ahead + HOUR)
    assert swept is not None
    assert swept.removed == 0
    assert set(before) <= set(times_in(tmp_path))


def test_a_clock_that_is_behind_removes_nothing_either(tmp_path: Path) -> None:
    wrote(tmp_path, *days(3, 0))
    assert sweep(tmp_path, Retention(keep=DAY), NOW - 30 * DAY).removed == 0  # type: ignore[union-attr]


def test_an_hour_that_somebody_writes_stays_whole(tmp_path: Path) -> None:
    wrote(tmp_path, *days(20, 0))
    oldest = hour_of(days(20, 0)[-1])
    open_file = new_file(tmp_path, oldest)
    assert sweep(tmp_path, Retention(keep=5 * DAY), NOW).removed == 4 * 15 - 1  # type: ignore[union-attr]
    assert hour_of(min(times_in(tmp_path))) == oldest
    open_file.close()
    assert sweep(tmp_path, Retention(keep=5 * DAY), NOW).removed == 2  # type: ignore[union-attr]


def test_who_compacts_or_erases_is_not_waited_for(tmp_path: Path) -> None:
    wrote(tmp_path, *days(20, 0))
    with rewriting(tmp_path):
        assert sweep(tmp_path, Retention(keep=5 * DAY), NOW) is None
    assert sweep(tmp_path, Retention(keep=5 * DAY), NOW) is not None


def test_health_counts_what_went(tmp_path: Path) -> None:
    now = int(time.time())
    wrote(tmp_path, *[now - number * 6 * HOUR for number in range(1, 40)])
    recorder = Recorder(tmp_path, retention=Retention(keep=2 * DAY))
    recorder.put(partial(impression, 1, time=float(now)))
    end = time.monotonic() + 30
    while not recorder.figures()["removed"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    figures = recorder.figures()
    assert figures["removed"] + len(times_in(tmp_path)) == 40
    assert figures["size"] == sum(path.stat().st_size for path in tmp_path.glob("2*"))
    recorder.close()


@pytest.mark.parametrize("size", ["", "5", "5 GB", "0GB", "1.5GB", "GB", "5kB"])
def test_a_size_that_is_none_is_named(size: str) -> None:
    with pytest.raises(ValidationError, match="such as 500MB or 20GB"):
        ImpressionsConfig(size=size)
    assert ImpressionsConfig(size="2TB").size_bytes == 2 * 10**12
