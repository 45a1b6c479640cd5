"""A generation of workers, as the supervisor knows it."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

#: Runs in the forked process, with the ends of `control` and `report` that are its own.
Run = Callable[[int, int], NoReturn]


@dataclass
class StartedGeneration:
    """process: the one that loads `version` and forks workers. control: while it is open, they go on. report:
    what the process says. ended: whether it has; its workers may go on."""

    process: int
    number: int
    version: str
    control: int
    report: int
    ended: bool = False
    message: bytes = b""

    @classmethod
    def forked(
        cls, number: int, version: str, others: list[StartedGeneration], run: Run
    ) -> StartedGeneration:
        """A new process. others: whose descriptors it must not hold, since they end with the last holder."""
        theirs, control = os.pipe()
        report, message = os.pipe()
        with warnings.catch_warnings():  # of threads of libraries, which are not used before the fork
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            for descriptor in (control, report, *(held for other in others for held in other.held())):
                os.close(descriptor)
            run(theirs, message)
        os.close(theirs)
        os.close(message)
        return cls(process, number, version, control, report)

    def held(self) -> list[int]:
        """Descriptors that are open."""
        return [descriptor for descriptor in (self.control, self.report) if descriptor >= 0]

    def heard(self) -> dict[str, Any] | None:
        """What it has message, once all of it is there."""
        part = os.read(self.report, 65_536)
        self.message += part
        if not part or not self.message.endswith(b"\n"):
            return None
        return dict(json.loads(self.message))

    def end(self) -> None:
        """Its workers take nothing more, and end with what they have in flight."""
        for descriptor in self.held():
            os.close(descriptor)
        self.control = self.report = -1

    def signal(self, number: signal.Signals) -> None:
        """Tell the process."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.process, number)
