"""Work beside requests gives way to them."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from funnel.errors import BundleError
from funnel.serving.background import in_background


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for a thread")
def test_the_thread_and_those_that_it_starts_give_way_and_the_caller_does_not() -> None:
    def both() -> tuple[int, int]:
        with ThreadPoolExecutor(1) as pool:
            return niceness(), pool.submit(niceness).result()

    before = niceness()
    lower = min(19, before + 10)
    assert in_background(both) == (lower, lower)
    assert niceness() == before


def test_results_and_errors_are_the_callers() -> None:
    def fail() -> None:
        raise BundleError("damaged")

    assert in_background(threading.get_ident) != threading.get_ident()
    with pytest.raises(BundleError, match="damaged"):
        in_background(fail)
