"""Work that is made where it is done, and who does it: threads of this process, or workers that somebody
brings."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol


class Recipe:
    """Work that is made where it is done. make: a function of a module, which makes it from `args`.

        lists = Recipe(_maker, contents, config)   # lists.work is what _maker(contents, config) returns

    What it makes may hold indexes, sessions and compiled trees, which cannot go to another process; the
    recipe can. A path among the arguments is a file or folder that the work reads; what it writes goes to an
    `Output`, and what it keeps for a later attempt to `KeptFiles`. here: the work, where this process has it
    already. shared: whether the work reads or writes anything else below a folder, so that only processes
    that see it can do it.
    """

    def __init__(self, make: Callable[..., Any], *args: Any, here: Any = None, shared: bool = False) -> None:
        self.make, self.args, self._here, self.shared = make, args, here, shared

    @cached_property
    def work(self) -> Any:
        """The work, in this process."""
        return self.make(*self.args) if self._here is None else self._here

    def __getstate__(self) -> dict[str, Any]:
        """Without what was made."""
        return {"make": self.make, "args": self.args, "_here": None, "shared": self.shared}


@dataclass(frozen=True, slots=True)
class Output:
    """A folder that work writes files to, wherever it is done: once what it gives for a part is taken, they
    are in the folder that the recipe named. Work that is done again writes the same."""

    folder: Path


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """Files that processes keep for those which do their work again: of one folder, by their names.

    folder: where this process writes them, and a working folder besides.
    """

    folder: Path

    def names(self) -> list[str]:
        """What any process has kept, sorted."""
        return sorted(path.name for path in self.folder.glob("*")) if self.folder.is_dir() else []

    def keep(self, name: str) -> None:
        """A file of this name is written. Raises: OSError where others would not find it."""

    def get(self, name: str) -> Path:
        """Where this process finds it. Raises: OSError where it cannot be had."""
        return self.folder / name

    def remove(self, name: str) -> None:
        """Nobody needs it any more."""
        (self.folder / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Member:
    """One of several processes that work at the same time. number: its own, from 0. of: how many there are.
    address: `host:port` where number 0 may listen for the others. host: the address of its own machine.
    gather: called by all with a value each, gives all of them what all gave, by number.
    """

    number: int
    of: int
    address: str
    host: str
    gather: Callable[[Any], list[Any]]


class Workers(Protocol):
    """Who does the parts of a step, beside this process."""

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        """What the work gives for each part, in their order; a part that failed with its worker is done
        again."""
        ...

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        """What the work gives in each of n processes, called at the same time with its `Member`. Where one is
        lost all begin again."""
        ...


_WORKERS: ContextVar[Workers | None] = ContextVar("workers", default=None)


def workers() -> Workers | None:
    """Who works in this block, see `done_by`; None: this process alone."""
    return _WORKERS.get()


@contextmanager
def done_by(workers: Workers | None) -> Iterator[None]:
    """Within the block recipes are followed by these workers. Who works is no part of what is worked on, so
    that no function in between needs to know of them."""
    token = _WORKERS.set(workers)
    try:
        yield
    finally:
        _WORKERS.reset(token)


def each(
    work: Callable[[Any], Any] | Recipe, parts: Iterable[Any], *, threads: int | None = None
) -> Iterator[Any]:
    """What `work` gives for each part, in their order, on a thread a core; a recipe goes to the workers,
    where there are any.

    work: is called by several threads at a time; compiled code and searches leave the interpreter to others.
    threads: default one a core; of one, `work` is called where its result is waited for, and not before.
    """
    others = workers()
    if isinstance(work, Recipe) and others is not None:
        yield from others.each(work, parts)
        return
    here = work.work if isinstance(work, Recipe) else work
    cores = threads or os.cpu_count() or 1
    if cores == 1:
        yield from map(here, parts)
        return
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for part in parts:
            if len(waiting) > cores:  # no further ahead than that, so that results do not pile up
                yield waiting.popleft().result()
            waiting.append(pool.submit(here, part))
        while waiting:
            yield waiting.popleft().result()
