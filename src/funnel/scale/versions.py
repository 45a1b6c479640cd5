"""What a process of a cluster must have as the driver has it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from funnel.errors import ConfigError

#: For any part of a step: what goes between processes is in their own form. And for training.
SAME, TRAINING = ("python", "funnel-rank"), ("torch", "lightgbm")


def about_process() -> dict[str, Any]:
    """On a worker: what must be as on the driver, and where it is."""
    return {
        "python": platform.python_version(),
        "funnel-rank": _version_of("funnel-rank"),
        **{name: _version_of(name) for name in TRAINING},
        "process": os.getpid(),
    }


def check_same(where: str, there: Mapping[str, Any], here: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises: ConfigError naming the machine and what it has another version of, or lacks."""
    for name in names:
        if there[name] is None and here[name] is not None:
            raise ConfigError(f"{where} has no {name}, this machine {here[name]}: install the same there")
        if there[name] != here[name]:
            raise ConfigError(
                f"{where} has {name} {there[name]}, this machine {here[name]}: install the same there"
            )


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
