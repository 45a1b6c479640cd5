"""Many requests, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from funnel.recipes import Recipe, each
from funnel.types import Examples, Requests

#: Requests that a thread works on together; bounds memory, not results.
CHUNK = 128

Chunk = TypeVar("Chunk", Examples, Requests)


def each_chunk(
    work: Callable[[Chunk], Any] | Recipe,
    examples: Chunk,
    size: int = CHUNK,
    *,
    threads: int | None = None,
) -> Iterator[Any]:
    """What `work` gives for `size` examples after the other, in their order; see `each`."""
    parts = (
        examples.take(slice(start, min(start + size, len(examples))))
        for start in range(0, len(examples), size)
    )
    return each(work, parts, threads=threads)
