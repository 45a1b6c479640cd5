"""Many requests, a bounded number at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from funnel.types import Examples, Requests

#: Requests that a thread works on together; bounds memory, not results.
CHUNK = 128

Part = TypeVar("Part", Examples, Requests)
T = TypeVar("T")


def each_chunk(
    work: Callable[[Part], T], examples: Part, size: int = CHUNK, *, threads: int | None = None
) -> Iterator[T]:
    """What `work` gives for `size` examples after the other, in their order, on a thread a core.

    work: is called by several threads at a time; compiled code and searches leave the interpreter to others.
    threads: default one a core; of one, `work` is called where its result is waited for, and not before.
    """
    cores = threads or os.cpu_count() or 1
    parts = (
        examples.take(np.arange(start, min(start + size, len(examples))))
        for start in range(0, len(examples), size)
    )
    if cores == 1:
        yield from map(work, parts)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for part in parts:
            if len(waiting) > cores:  # no further ahead than that, so that results do not pile up
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, part))
        while waiting:
            yield waiting.popleft().result()
