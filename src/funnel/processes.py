"""What each process has for itself: locks and threads of a parent are worth nothing after a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Forked(Protocol):
    """What has to be at rest while a process is forked."""

    def over_fork(self) -> AbstractContextManager[None]:
        """Entered before the fork, by the thread that forks; left behind it, in the parent and in the child.
        It may wait for what other threads do, but for nothing that may wait for the thread that forks."""


def at_rest_over_forks(owner: Forked) -> None:
    """Have `owner.over_fork` around each fork of this process, for as long as the owner is referenced.

    Forks that Python makes, as `os.fork` and `multiprocessing` do; none that replaces the program at once.
    """
    with _FORKING:
        if not _REGISTERED and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_go_on)
            _REGISTERED.append(True)
        _FORKED.add(owner)


_FORKED: weakref.WeakSet[Forked] = weakref.WeakSet()
_FORKING, _REGISTERED, _RESTING = threading.RLock(), list[bool](), list[ExitStack]()


def _rest() -> None:
    resting = ExitStack()
    resting.enter_context(_FORKING)  # two threads that fork at once may wait for each other
    _RESTING.append(resting)
    for owner in _FORKED:
        resting.enter_context(owner.over_fork())


def _go_on() -> None:
    if _RESTING:  # a program that embeds Python may tell of a child alone
        _RESTING.pop().close()


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
