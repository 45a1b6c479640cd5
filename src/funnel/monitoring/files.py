"""The files of a store's monitor: what it learned, what is wrong now, and what people accepted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from funnel.errors import DataError

#: Seconds without a look after which nobody watches any more; looks are an hour apart at most.
SILENT = 7200.0

MEMORY, ALARMS, ACCEPTED = "memory.json", "alarms.json", "accepted.json"


def monitor_folder(store: Path) -> Path:
    """Where the monitor of a store's folder keeps what it knows."""
    return store / "live" / "monitor"


def write(path: Path, raw: dict[str, Any]) -> None:
    """A JSON file, whole or not at all. Raises: OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(raw))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """What such a file holds; None where there is none. Raises: DataError where it is damaged."""
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    if not isinstance(raw, dict):
        raise DataError(f"{path} is damaged: an object is expected")
    return raw
