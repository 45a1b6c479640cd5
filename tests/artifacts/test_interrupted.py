"""Writers that are killed, and writers that meet: what was published goes on being served."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from funnel.artifacts import Store

from .test_store import hidden, write

#: A writer that stops at a given moment, says so, and waits to be killed.
WRITER = """
import sys
from pathlib import Path
from funnel.artifacts import Store, history, manifest, writing

def stop(*args, **kwargs):
    print("here", flush=True)
    sys.stdin.read()

folder, moment, content = sys.argv[1:]
if moment == "hashing": manifest.entry = stop
if moment == "describing": manifest.Manifest.save = stop
if moment == "syncing": writing.sync = stop
if moment == "renaming": Path.rename = stop
if moment == "publishing": Path.replace = stop
bundles = Store(folder)
with bundles.writing("movies") as draft:
    (draft.folder / "a").write_text(content)
    if moment == "writing": stop()
if moment == "verifying": manifest.entry = stop
if moment == "recording": history.os.fsync = stop
bundles.publish(draft.version)
print(draft.version, flush=True)
"""
MOMENTS = ["writing", "hashing", "describing", "syncing", "renaming", "verifying", "recording", "publishing"]


def start(store: Store, moment: str, content: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.folder), moment, content],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "indexes")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_writer_that_is_killed_changes_nothing_that_is_served(store: Store, moment: str) -> None:
    version = write(store)
    store.publish(version)
    with start(store, moment, "new") as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        during = hidden(store)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert store.current() == version
    for listed in store.versions():
        store.verify(listed.version)
    assert during == hidden(store)
    write(store, {"b": b"next"})
    assert hidden(store) == []


def test_a_living_writer_is_left_alone(store: Store) -> None:
    with start(store, "writing", "new") as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "here\n"
        write(store)
        assert len(hidden(store)) == 1
        writer.stdin.close()  # it goes on
        version = writer.stdout.readline().strip()
    assert store.current() == version
    store.verify(version)


def in_its_own_pids(*command: str) -> list[str]:
    """A command as the first process of a pid namespace, as containers have one; the test is skipped where
    that is not allowed."""
    isolated = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("pid namespaces cannot be made here: needs unshare and user namespaces")
    return [*isolated, *command]


def test_a_living_writer_in_another_pid_namespace_is_left_alone(store: Store) -> None:
    """A container on the same volume: its clearing sees none of our process numbers."""
    clearing = "import sys, pathlib, funnel.artifacts.drafts as d; d.clear(pathlib.Path(sys.argv[1]))"
    with start(store, "writing", "new") as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "here\n"
        command = in_its_own_pids(sys.executable, "-c", clearing, str(store.folder))
        subprocess.run(command, check=True)
        assert len(hidden(store)) == 1
        writer.stdin.close()  # it goes on
        version = writer.stdout.readline().strip()
    store.verify(version)


@pytest.mark.parametrize("killed", [False, True])
def test_a_writer_in_another_pid_namespace(store: Store, killed: bool) -> None:
    """Seen from here: it lives, though its process number is nobody's or another's; or it was killed."""
    command = in_its_own_pids(sys.executable, "-c", WRITER, str(store.folder), "writing", "new")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        if killed:
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()
            assert writer.stdout.read() == ""  # at its end nobody holds the pipe: the writer is gone, too
        write(store)
        assert len(hidden(store)) == (0 if killed else 1)
        if not killed:
            writer.communicate()
            store.verify(store.current())


def test_a_process_number_that_was_given_again_keeps_no_draft(store: Store) -> None:
    """A killed writer's number may be anybody's by now: that of this process, say."""
    with start(store, "writing", "new") as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        (name,) = hidden(store)
        writer.kill()
    (store.folder / name).rename(store.folder / name.replace(f"-{writer.pid}-", f"-{os.getpid()}-"))
    write(store)
    assert hidden(store) == []


def test_a_living_writer_of_a_file_is_left_alone(store: Store) -> None:
    version = write(store)
    with start(store, "publishing", "new") as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "here\n"
        assert len(hidden(store)) == 1
        write(store, {"b": b"next"})
        assert len(hidden(store)) == 1
        writer.kill()
    write(store, {"c": b"next"})
    assert hidden(store) == []
    store.verify(version)


def test_a_draft_of_another_machine_is_kept_for_a_day(store: Store) -> None:
    write(store)
    for name, age in {"young": 3600, "old": 90_000}.items():
        draft = store.folder / f".draft-{name}{socket.gethostname().replace('-', '_')}-1-x"
        draft.mkdir()
        changed = draft.stat().st_mtime - age
        os.utime(draft, (changed, changed))
    write(store, {"b": b"next"})
    assert [name.split("-")[1][:5] for name in hidden(store)] == ["young"]


def test_publishers_that_meet_leave_one_whole_line(store: Store) -> None:
    versions = [write(store, {"a": bytes([i])}) for i in range(4)]
    seen = set()
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(store.publish, version) for version in versions * 15]
        while not all(one.done() for one in done):
            if (store.folder / "CURRENT").exists():
                seen.add(store.current())
    for one in done:
        one.result()
    assert seen <= set(versions)
    assert store.current() in versions
    assert hidden(store) == []


def test_processes_that_publish_at_once(store: Store) -> None:
    writers = [start(store, "none", content) for content in "ab"]
    versions = {writer.communicate()[0].strip() for writer in writers}
    assert store.current() in versions
    assert {listed.version for listed in store.versions()} == versions
    assert len(versions) == 2


def test_writers_of_the_same_files_get_one_version(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = set(pool.map(lambda _: write(store), range(12)))
    assert len(versions) == 1
    store.verify(versions.pop())
    assert hidden(store) == []
