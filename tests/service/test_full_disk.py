"""A disk that is full under a real service: what cannot be kept is refused, and reading goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from tests.service.server import Server, server, soon
from tests.serving.test_processes import fill
from tests.serving.test_reload import without_ranker


def put(attempt: int) -> tuple[str, str, Any]:
    """Items that no attempt before has."""
    new = {"title": "t" * 2000, "genres": ["Western"], "year": 1990.0}
    return "PUT", "/v1/items", {"items": [{"item_id": 9000 + 20 * attempt + n, **new} for n in range(20)]}


def patch(attempt: int) -> tuple[str, str, Any]:
    patches = {str(item): {"year": 1900.0 + attempt} for item in range(1, 60)}
    return "PATCH", "/v1/items", {"patches": patches}


def observe(attempt: int) -> tuple[str, str, Any]:
    events = [{"user_id": f"full-{attempt}", "item_id": 1 + n % 100} for n in range(800)]
    return "POST", "/v1/events", {"events": events}


def show(attempt: int) -> tuple[str, str, Any]:
    method, path, body = observe(attempt)
    return method, path, body | {"kind": "impression"}


@pytest.fixture
def disk(indexes: Path, tmp_path: Path) -> Iterator[Path]:
    """A store on a file system of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield Path(shutil.copytree(indexes, place / "indexes"))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def refused(running: Server, change: Callable[[int], tuple[str, str, Any]]) -> int:
    """A change is made until there is no room for it, which is said as a problem document; how often."""
    for attempt in range(200):
        method, path, body = change(attempt)
        status, answer = running.post(path, body, method)
        if status != 200:
            break
    assert status == 503, answer
    assert answer["status"] == 503
    assert answer["error"] == "BundleError"
    assert "nothing was changed" in answer["detail"]
    return attempt


def test_a_full_disk_is_said_and_what_is_refused_is_not_kept(disk: Path) -> None:
    after = without_ranker(Store(disk))
    with server(disk, "--workers", "2") as running:
        taken = {"events": [{"user_id": "before", "item_id": 1}]}
        assert running.post("/v1/events", taken, Idempotency_Key="before")[0] == 200
        ballast = fill(disk)
        taken_in = {}
        for change in (put, patch, observe, show):
            taken_in[change] = refused(running, change)
            status, answer = running.post("/v1/recommend", {"user_id": 7, "k": 5})
            assert (status, len(answer["items"])) == (200, 5)
            assert running.get("/health/ready")[0] == 200
        lost = {"events": [{"user_id": f"lost-{number}", "item_id": 9} for number in range(500)]}
        assert running.post("/v1/events", lost, Idempotency_Key="again")[0] == 503
        for worker in running.workers():
            os.kill(worker, signal.SIGKILL)  # others can begin on a full disk
        assert soon(lambda: len(running.workers()) == 2)
        assert running.post("/v1/recommend", {"user_id": 7})[0] == 200
        ballast.unlink()
        assert running.post("/v1/events", lost, Idempotency_Key="again")[0] == 200
        assert running.post("/v1/events", taken, Idempotency_Key="before")[0] == 200  # was kept: once
        Store(disk).publish(after)
        assert soon(lambda: running.get("/health/ready")[1].get("version") == after)
    live = Live(disk)
    assert live.history("before") == [1]
    assert [live.history(f"lost-{number}") for number in (0, 499)] == [[9], [9]]
    items, users = taken_in[put], taken_in[observe]
    assert [live.items.get(9000 + 20 * n) is not None for n in range(items + 1)] == [True] * items + [False]
    assert [len(live.history(f"full-{n}")) > 0 for n in range(users + 1)] == [True] * users + [False]
    live.close()
