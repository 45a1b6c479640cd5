"""What all workers of a test run use, made by the first of them that needs it."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What `make` returns, given a folder of that name which all workers read; made once in a test run.

    Others wait meanwhile, and get a copy of the value. Nobody may change what is in the folder.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.with_suffix(".pickle")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            value = make(folder)
            kept.write_bytes(pickle.dumps(value))
            return value
    again: T = pickle.loads(kept.read_bytes())  # noqa: S301  (our own, of this run)
    return again
