"""Many requests, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from funnel.types import Examples

#: Requests that are retrieved together; bounds memory, not results.
CHUNK = 512


def chunks(examples: Examples, size: int = CHUNK) -> Iterator[Examples]:
    """The examples in their order, `size` at a time."""
    for start in range(0, len(examples), size):
        yield examples.take(np.arange(start, min(start + size, len(examples))))
