"""Old hours go from the log, and it stays known up to when some of it is gone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from funnel.artifacts.writing import replace_line
from funnel.impressions.files import HOUR, hour_in

_GONE = ".removed"


def removed_until(folder: Path) -> float | None:
    """The moment up to which answers were removed from a log since they were old or too many, in seconds;
    None where none ever were."""
    try:
        return float((folder / _GONE).read_text())
    except (OSError, ValueError):
        return None


def remove(paths: Iterable[Path]) -> None:
    """Remove files of the log, while nobody else rewrites files. Raises: OSError."""
    for path in paths:
        is_noted = _note(path)
        path.unlink()
        if not is_noted and not _note(path):  # there was no room for it before
            raise OSError(f"{path} is removed, and {path.parent / _GONE} cannot say so")


def _note(path: Path) -> bool:
    """Say that a file's hour is gone; whether that is said."""
    until, before = (hour_in(path) or 0) + HOUR, removed_until(path.parent)
    if before is not None and before >= until:
        return True
    try:
        replace_line(path.parent / _GONE, str(until))
    except OSError:
        return False
    return True
