"""The command line: a few lines each over the public API.

Exit codes: 0 done, 1 funnel found something wrong (one message, no traceback), 2 the command was mistyped.
"""

from __future__ import annotations

import logging
import sys

from rich.logging import RichHandler

from funnel.cli import asking, bundles, making, running  # noqa: F401  (each adds its commands)
from funnel.cli.common import app, console
from funnel.errors import FunnelError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; what funnel raises on purpose becomes a message and exit code 1."""
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[RichHandler(console=console)])
    try:
        app()
    except FunnelError as error:
        console.print("[bold red]error[/]", end=" ")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
