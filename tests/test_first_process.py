"""funnel as a container's first process, which the kernel protects from signals that it has no handler of."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FIRST = ["unshare", "--pid", "--fork", "--kill-child"]


def hears_sigterm(pid: int) -> bool:
    """Whether a process has a handler of it."""
    (caught,) = (
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")
    )
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def child_of(pid: int) -> int | None:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


def test_it_ends_when_it_is_told_to_while_it_starts(tmp_path: Path) -> None:
    """Long before a service listens to signals, and in commands that never do."""
    if shutil.which("unshare") is None or subprocess.run([*FIRST, "true"], capture_output=True).returncode:
        pytest.skip("no namespace of processes can be made here")
    command = [sys.executable, "-m", "funnel", "serve", "--store", str(tmp_path / "none")]
    started = subprocess.Popen([*FIRST, *command], stderr=subprocess.DEVNULL)
    try:
        deadline, first = time.monotonic() + 60, None
        while first is None or not hears_sigterm(first):
            assert time.monotonic() < deadline, "it hears no SIGTERM"
            assert started.poll() is None, "it has ended by itself"
            first, _ = child_of(started.pid), time.sleep(0.002)
        os.kill(first, signal.SIGTERM)
        assert started.wait(60) == 128 + signal.SIGTERM
    finally:
        started.kill()
