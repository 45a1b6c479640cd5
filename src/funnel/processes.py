"""What each process has for itself: locks and threads of a parent are worth nothing after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process makes when it first asks for it.

    A lock that a thread of the parent held when a process was forked is never released there, and a
    connection belongs to who opened it. Threads of one process that ask for the first time together get the
    same value, even if each of them makes one, so `make` may only make. What a parent had made stays
    referenced, and so is not closed under it.

    Example:
        >>> import threading
        >>> lock = PerProcess(threading.Lock)
        >>> with lock.get():
        ...     pass
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._by_process: dict[int, T] = {}

    def get(self) -> T:
        """This process's own."""
        process = os.getpid()
        own = self._by_process.get(process)
        return own if own is not None else self._by_process.setdefault(process, self._make())
