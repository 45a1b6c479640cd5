"""What workers print."""

from __future__ import annotations

import os


def to_stderr() -> None:
    """In a worker: send what is printed, by libraries too, to the command's stderr. Its stdout is its result,
    which a program may read."""
    os.dup2(2, 1)
