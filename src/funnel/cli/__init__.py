"""The command line: a few lines each over the public API.

Exit codes: 0 done, 1 funnel found something wrong (one message, no traceback), 2 the command was mistyped.
"""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import NoReturn

from rich.logging import RichHandler
from rich.text import Text

from funnel.cli import (  # noqa: F401  (each adds its commands)
    bundles,
    configuring,
    experimenting,
    exploring,
    ingesting,
    keys,
    making,
    monitoring,
    recommending,
    replaying,
    running,
    serving,
    starting,
    warming,
)
from funnel.cli.common import app, console
from funnel.cli.steps import log_steps
from funnel.errors import FunnelError
from funnel.terminal import literal, say

__all__ = ["app", "main"]

#: The exit code of what Ctrl-C ended.
INTERRUPTED = 130


def main() -> None:
    """Run the command line; what funnel raises on purpose becomes a message and exit code 1."""
    _print_what_cannot_be_encoded()
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[_Log(console=console)])
    if not console.is_terminal:
        log_steps()
    try:
        _run()
    except FunnelError as error:
        _refuse(str(error))
    except SystemError as error:  # an interrupt within compiled code, which goes on and returns
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        sys.exit(INTERRUPTED)
    except OSError as error:  # a full disk behind stdout, a folder that went away
        _refuse(str(error))


class _Log(RichHandler):
    """Ids and titles of the data are in what is logged: a terminal shows all of it, and obeys nothing."""

    def render_message(self, record: logging.LogRecord, message: str) -> Text:
        """The lines as they are."""
        return Text("\n").join(literal(line) for line in message.splitlines())


def _run() -> None:
    """The command, whose end is an exit; what it printed must be out before that counts as a success."""
    try:
        app()
    except SystemExit as end:
        if not end.code and sys.stdout is not None:
            sys.stdout.flush()
        raise


def _refuse(message: str) -> NoReturn:
    """The message to stderr, where there is one that can be written; exit code 1."""
    with suppress(OSError):
        console.print("[bold red]error[/]", end=" ")
        for line in message.splitlines() or [""]:
            say(line, console)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    sys.stdout = None  # else Python flushes it again, and complains
    sys.exit(1)


def _print_what_cannot_be_encoded() -> None:
    """Terminals that are not UTF-8 get escapes in place of what they do not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
