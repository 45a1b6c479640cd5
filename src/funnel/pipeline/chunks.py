"""Many requests, a bounded number at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from funnel.types import Examples

#: Requests that a thread works on together; bounds memory, not results.
CHUNK = 256

T = TypeVar("T")


def each_chunk(work: Callable[[Examples], T], examples: Examples, size: int = CHUNK) -> Iterator[T]:
    """What `work` gives for `size` examples after the other, in their order, on a thread a core.

    work: is called by several threads at a time; compiled code and searches leave the interpreter to others.
    """
    cores = os.cpu_count() or 1
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for start in range(0, len(examples), size):
            if len(waiting) > cores:  # no further ahead than that, so that results do not pile up
                yield waiting.popleft().result()
            part = examples.take(np.arange(start, min(start + size, len(examples))))
            waiting.append(pool.submit(work, part))
        while waiting:
            yield waiting.popleft().result()
