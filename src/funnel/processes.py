"""What each process has for itself: locks and threads of a parent are worth nothing after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process has for itself, made at once, and anew when a forked process asks for it.

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
        self._owned = _Owned(make())

    def get(self) -> T:
        """This process's own."""
        process, owned = os.getpid(), self._owned
        if owned.process != process:
            owned = self._owned = owned.of_children.setdefault(process, _Owned(self._make(), owned))
        return owned.value


class _Owned(Generic[T]):
    """What a process made. of_children: what those made that were forked from it, each in its own memory: a
    number of a process comes again, but not among those who have the same parent's memory. before: the
    parent's."""

    def __init__(self, value: T, before: _Owned[T] | None = None) -> None:
        self.value, self.before, self.process = value, before, os.getpid()
        self.of_children: dict[int, _Owned[T]] = {}
