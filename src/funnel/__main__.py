"""`funnel` and `python -m funnel`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    # Threads that wait for each other shall sleep: where other programs want the cores too, waiting in a loop
    # makes training ten times slower and more. OpenMP reads this when it is loaded, so it comes first.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if os.getpid() == 1:  # a container's first process, which no signal ends that it has no handler of
        signal.signal(signal.SIGTERM, _end)
    from funnel.cli import main as run

    try:
        run()
    finally:
        gc.freeze()  # else the end of the process looks through all that the libraries have made, again


def _end(number: int, _: FrameType | None) -> None:
    """With the exit code that a shell gives to what the signal has ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
