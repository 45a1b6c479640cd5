"""What each process has for itself."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import weakref
from typing import Any

import pytest

from funnel.catalogue.filter_cache import FilterCache
from funnel.processes import PerProcess

FORK = multiprocessing.get_context("fork")


class _Made:
    """Slow to make, so that threads that ask at once all make one."""

    def __init__(self) -> None:
        time.sleep(0.05)
        self.lock = threading.Lock()


def _asked_by(threads: int, own: PerProcess[_Made]) -> set[int]:
    barrier, seen = threading.Barrier(threads), list[int]()

    def ask() -> None:
        barrier.wait()
        seen.append(id(own.get()))

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert len(seen) == threads
    return set(seen)


def test_threads_that_ask_at_once_get_the_same() -> None:
    assert len(_asked_by(8, PerProcess(_Made))) == 1


def test_a_number_of_a_process_that_comes_again_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose ancestor may have held a lock."""
    own = PerProcess(threading.Lock)
    values, number = [own.get()], os.getpid()
    for process in (number + 1, number, number + 2, number + 1):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        values.append(own.get())
        assert own.get() is values[-1]
    assert len(set(map(id, values))) == 5


def _in_child(own: PerProcess[_Made], parents: Any, results: Any) -> None:
    ids = _asked_by(4, own)
    free = own.get().lock.acquire(timeout=5)
    results.put((len(ids), own.get() is not parents(), free, parents() is not None))


def test_a_forked_process_has_its_own_and_lets_the_parents_live() -> None:
    own, results = PerProcess(_Made), FORK.SimpleQueue()
    parents = weakref.ref(own.get())
    with own.get().lock:
        child = FORK.Process(target=_in_child, args=(own, parents, results))
        child.start()
    child.join(60)
    assert child.exitcode == 0
    assert results.get() == (1, True, True, True)


def _first_lookups(cache: FilterCache, results: Any) -> None:
    """Two threads whose first calls meet: the one must not be given the lock of the parent."""
    done = list[int]()
    running = [
        threading.Thread(target=lambda: done.append(len(cache.conditions())), daemon=True) for _ in range(2)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(10)
    results.put(len(done))


@pytest.mark.parametrize("time_", range(3))
def test_first_calls_that_meet_after_a_fork_do_not_wait_for_the_parent(time_: int) -> None:
    cache, results = FilterCache(), FORK.SimpleQueue()
    with cache._kept.get().lock:
        child = FORK.Process(target=_first_lookups, args=(cache, results))
        child.start()
        child.join(60)
    assert child.exitcode == 0
    assert results.get() == 2
