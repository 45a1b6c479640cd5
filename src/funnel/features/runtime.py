"""ONNX Runtime: the one place where it is loaded and where its sessions are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from funnel.processes import at_rest_over_forks

#: Read when ONNX Runtime is loaded: then it keeps no identifier of the machine, and sends nothing.
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"

#: Of ONNX Runtime: errors are told, warnings of the graph and of the machine are not.
_ERRORS = 3


class OnnxSession:
    """A graph that is run. graph: reads it. threads: of one run.

    run: see `InferenceSession.run` of ONNX Runtime. Its locks may be held by a thread of the parent when a
    child is forked, so that the child makes a session of its own with its first run. width: of the first
    output, float32 [n, width].

    Raises: ValueError when it is damaged.
    """

    def __init__(self, graph: Callable[[], bytes], threads: int) -> None:
        self._graph, self._threads = graph, threads
        session = self._session()
        self.run: Callable[..., Any] = session.run
        self.width = session.get_outputs()[0].shape[1]
        self._before: list[Callable[..., Any]] = []
        at_rest_over_forks(self)

    @contextmanager
    def over_fork(self) -> Iterator[None]:
        """Runs go on; what the parent had stays referenced in the child, and untouched."""
        process = os.getpid()
        yield
        if os.getpid() != process:
            self._before.append(self.run)
            self.run = self._first_run

    def _first_run(self, *arguments: Any) -> Any:
        self.run = self._session().run
        return self.run(*arguments)

    def _session(self) -> Any:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = _ERRORS
        try:
            return runtime.InferenceSession(self._graph(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise ValueError(f"ONNX Runtime cannot read the graph: {error}") from error


def _runtime() -> Any:
    """ONNX Runtime, which is loaded when the first session is made.

    Since 1.29 its official builds keep an identifier of the machine below the home folder, warn where there
    is none, and send to Microsoft what sessions are made of. What a catalogue looks like is its owner's: this
    is turned off before the library is loaded, and by its own switch where a program loaded it before.
    """
    os.environ.setdefault(_NO_TELEMETRY, "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime
