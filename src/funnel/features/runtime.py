"""ONNX Runtime: the one place where it is loaded and where its sessions are made."""

from __future__ import annotations

import os
from typing import Any

#: Read when ONNX Runtime is loaded: then it keeps no identifier of the machine, and sends nothing.
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"

#: Of ONNX Runtime: errors are told, warnings of the graph and of the machine are not.
_ERRORS = 3


def onnx_session(graph: bytes, threads: int) -> Any:
    """A graph on so many threads. Raises: ValueError when it is damaged."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _ERRORS
    try:
        return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
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
