"""What is handed over is on the disk, whatever happens to the disk, the clock and the process."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from funnel.impressions import Impression, ReadFigures, Recorder, as_line, read
from funnel.impressions.files import closed, hour_in
from tests.impressions.records import NOW, impression


def put(recorder: Recorder, *numbers: int) -> None:
    for number in numbers:
        recorder.put(partial(impression, number))


def numbers_in(folder: Path, figures: ReadFigures | None = None) -> list[int]:
    return sorted(int(one.id, 16) for one in read(folder, figures=figures))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_was_handed_over_is_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "answers")
    put(recorder, *range(1000))
    assert recorder.flush()
    assert numbers_in(tmp_path / "answers") == list(range(1000))
    figures = recorder.figures()
    files = list((tmp_path / "answers").iterdir())
    assert figures["recorded"] == 1000
    assert figures["bytes"] == sum(file.stat().st_size for file in files)
    assert (figures["dropped"], figures["errors"], figures["waiting"], figures["error"]) == (0, 0, 0, None)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)  # of people: for the owner alone
    recorder.close()


def test_an_answer_goes_to_the_file_of_its_own_hour_also_where_the_clock_jumps(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for number, time_ in enumerate([NOW, NOW + 3600, NOW - 86_400, NOW, NOW + 10**8]):
        recorder.put(partial(impression, number, time=time_))
    recorder.close()
    assert numbers_in(tmp_path) == list(range(5))
    for path in tmp_path.iterdir():
        hour = hour_in(path)
        assert hour is not None
        assert all(hour <= one.time < hour + 3600 for one in read(tmp_path, hour, hour + 3600))
    assert [int(one.id, 16) for one in read(tmp_path, NOW + 1, NOW + 3601)] == [1]


def test_the_buffer_is_bounded_and_what_is_beyond_is_counted(tmp_path: Path) -> None:
    recorder, gate = Recorder(tmp_path, bound=10), threading.Event()

    def held() -> Impression:
        gate.wait(30)
        return impression(0)

    assert recorder.put(held)
    taken = [recorder.put(partial(impression, number)) for number in range(1, 100)]
    assert taken.count(True) == 9
    assert recorder.figures()["dropped"] == 90
    assert recorder.figures()["lag_seconds"] >= 0
    gate.set()
    assert recorder.flush()
    assert numbers_in(tmp_path) == list(range(10))
    recorder.close()


def test_an_answer_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.put(lambda: impression(1, context={"x": object()}))
    recorder.put(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    put(recorder, 2)
    assert recorder.flush()
    assert numbers_in(tmp_path) == [2]
    assert (recorder.figures()["dropped"], recorder.figures()["errors"]) == (2, 2)
    recorder.close()


def test_a_folder_that_cannot_be_written_is_said_and_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.write_text("in the way")
    recorder = Recorder(folder)
    put(recorder, 1, 2)
    until(lambda: recorder.figures()["error"] is not None)
    assert str(folder) in recorder.figures()["error"]
    folder.unlink()
    assert recorder.flush(30)
    put(recorder, 3)
    assert recorder.flush()
    assert numbers_in(folder) == [1, 2, 3]
    assert recorder.figures()["error"] is None
    assert recorder.figures()["errors"] >= 1
    recorder.close()


def test_files_that_are_removed_under_it_are_made_anew(tmp_path: Path) -> None:
    recorder, hour = Recorder(tmp_path / "answers"), 4_000_000_000  # not over, so that the file stays open
    recorder.put(partial(impression, 1, time=hour))
    assert recorder.flush()
    for path in (tmp_path / "answers").iterdir():
        path.unlink()
    recorder.put(partial(impression, 2, time=hour))
    assert recorder.flush()
    assert numbers_in(tmp_path / "answers") == [2]
    recorder.close()


def test_a_full_disk_leaves_whole_lines_and_what_did_not_fit_comes_later(tmp_path: Path) -> None:
    """A limit of the size of files stands for the disk: a write is then cut short, and the next refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder, line = Recorder(tmp_path), len(as_line(impression(100)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (line * 5 // 2, hard))
        put(recorder, *range(10))
        until(lambda: recorder.figures()["error"] is not None)
        figures = ReadFigures()
        assert numbers_in(tmp_path, figures) == []
        assert (figures.torn, figures.damaged) == (0, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert recorder.flush(30)
    assert numbers_in(tmp_path) == list(range(10))
    recorder.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with room for some hundred answers."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def test_on_a_disk_that_was_full_nothing_is_lost_or_torn(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * 100_000)
    recorder = Recorder(small_disk / "answers")
    put(recorder, *range(200))
    until(lambda: recorder.figures()["error"] is not None)
    assert "No space left" in recorder.figures()["error"]
    figures = ReadFigures()
    there = numbers_in(small_disk / "answers", figures)
    assert (figures.torn, figures.damaged) == (0, 0)
    assert there == list(range(len(there)))
    (small_disk / "other").unlink()
    assert recorder.flush(30)
    assert numbers_in(small_disk / "answers") == list(range(200))
    recorder.close()


def test_closed_it_writes_all_and_goes_on_when_asked(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    put(recorder, 1)
    recorder.close()
    assert numbers_in(tmp_path) == [1]
    put(recorder, 2)
    recorder.close()
    recorder.close()
    put(recorder, 3)
    recorder.close()
    assert numbers_in(tmp_path) == [1, 2, 3]


def test_a_torn_last_line_is_skipped_and_counted(tmp_path: Path) -> None:
    whole, other = as_line(impression(1)), as_line(impression(2))
    (tmp_path / "2026-09-21T13.host-1-aa.jsonl").write_bytes(whole + other[:-20])
    (tmp_path / "2026-09-21T13.host-2-bb.jsonl").write_bytes(whole[:30] + b"\n" + b"\0" * 50 + b"\n" + other)
    (tmp_path / "notes.txt").write_text("nobody's")
    figures = ReadFigures()
    assert numbers_in(tmp_path, figures) == [1, 2]
    assert (figures.files, figures.read, figures.torn, figures.damaged) == (2, 2, 1, 2)


def test_a_fork_writes_files_of_its_own(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    put(recorder, 1)
    child = os.fork()
    if child == 0:
        put(recorder, 2)
        recorder.close()
        os._exit(0)
    put(recorder, 3)
    assert os.waitpid(child, 0)[1] == 0
    recorder.close()
    assert numbers_in(tmp_path) == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_child_of_multiprocessing_writes_all_before_it_ends(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)  # the parent keeps it, so that nothing collects it in the child
    for parent_was_first in (False, True):
        before = len(numbers_in(tmp_path))
        child = get_context("fork").Process(target=put, args=(recorder, *range(300)))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert len(numbers_in(tmp_path)) == before + 300
        if not parent_was_first:
            put(recorder, 1000)
            recorder.flush()
    recorder.close()


CHILD = """
    import sys, time
    from functools import partial
    from pathlib import Path
    from funnel.impressions import Recorder
    from tests.impressions.records import impression

    recorder = Recorder(Path(sys.argv[1]))
    for number in range(200):
        recorder.put(partial(impression, number, time=time.time()))
    if sys.argv[2] == "end":
        sys.exit()
    recorder.flush()
    print("there", flush=True)
    while True:
        recorder.put(partial(impression, number := number + 1, time=time.time()))
        time.sleep(0.0001)
"""


def child(folder: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), how], stdout=subprocess.PIPE, text=True
    )


def test_at_its_usual_end_a_process_leaves_nothing_behind(tmp_path: Path) -> None:
    assert child(tmp_path, "end").wait(60) == 0
    assert numbers_in(tmp_path) == list(range(200))


def test_killed_it_leaves_whole_lines_and_a_file_that_is_closed(tmp_path: Path) -> None:
    process = child(tmp_path, "on")
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    (path,) = tmp_path.iterdir()
    with closed(path) as is_closed:
        assert not is_closed
    process.kill()
    process.wait()
    with closed(path) as is_closed:
        assert is_closed
    figures = ReadFigures()
    numbers = numbers_in(tmp_path, figures)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 200
    assert figures.damaged == 0


@pytest.mark.parametrize("threads", [8])
def test_many_threads_lose_nothing(tmp_path: Path, threads: int) -> None:
    recorder = Recorder(tmp_path)
    workers = [
        threading.Thread(target=put, args=(recorder, *range(start, 800, threads))) for start in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    recorder.close()
    assert numbers_in(tmp_path) == list(range(800))
