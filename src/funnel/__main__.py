"""`funnel` and `python -m funnel`."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the command line."""
    # Threads that wait for each other shall sleep: where other programs want the cores too, waiting in a loop
    # makes training ten times slower and more. OpenMP reads this when it is loaded, so it comes first.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from funnel.cli import main as run

    try:
        run()
    finally:
        gc.freeze()  # else the end of the process looks through all that the libraries have made, again


if __name__ == "__main__":
    main()
