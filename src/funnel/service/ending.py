"""The end of a process of the service."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NoReturn


def end(code: int) -> NoReturn:
    """End this process, without what the one that it was forked from does at its end. To give back its memory
    takes a while, in which others answer: it gives way to them."""
    with suppress(OSError):
        os.nice(19)
    os._exit(code)
