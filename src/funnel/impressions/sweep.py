"""What of the log goes by itself, whether or not anybody ingests: what is too old, and what is too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from funnel.impressions.files import HOUR, closed, hour_in, in_hours
from funnel.impressions.locks import rewriting_if_free
from funnel.impressions.removal import remove

_DAY = 86_400

#: Files of hours that are so many seconds apart are of one time of service: some stand still at night.
_APART = 25 * HOUR


@dataclass(frozen=True)
class Retention:
    """keep: seconds that the log is kept. size: bytes that its files may have together; beyond that the
    oldest hours go."""

    keep: float = 90.0 * _DAY
    size: int = 100 * 10**9


@dataclass(frozen=True)
class Swept:
    """removed: files. size: bytes of all that are left."""

    removed: int
    size: int


def sweep(folder: Path, retention: Retention, now: float) -> Swept | None:
    """Remove hours that are too old or too much, the oldest first; None where somebody rewrites files just
    now, and nothing was done.

    An hour goes as a whole, and not while a process writes to any of its files. Age counts from the newest
    hour of which the log has a day or more: what a clock that has jumped ahead wrote makes nothing old.
    Raises: OSError.
    """
    files = _files(folder)
    if not _too_much(files, retention, now):
        return Swept(0, sum(map(_bytes, files.values())))
    with rewriting_if_free(folder) as is_free:
        if not is_free:
            return None
        files, removed = _files(folder), 0
        for hour in sorted(files):
            if hour in _too_much(files, retention, now) and _removed(files[hour]):
                removed += len(files.pop(hour))
    return Swept(removed, sum(map(_bytes, files.values())))


def _files(folder: Path) -> dict[int, list[tuple[Path, int]]]:
    """By hour, with their bytes."""
    files = defaultdict[int, list[tuple[Path, int]]](list)
    for path in in_hours(folder, None, None):
        with suppress(OSError):  # gone meanwhile
            files[hour_in(path) or 0].append((path, path.stat().st_size))
    return files


def _bytes(files: Sequence[tuple[Path, int]]) -> int:
    return sum(size for _, size in files)


def _too_much(files: Mapping[int, Sequence[tuple[Path, int]]], retention: Retention, now: float) -> set[int]:
    """The hours that are to go."""
    before, left = kept_from(sorted(files), retention.keep, now), sum(map(_bytes, files.values()))
    hours = set()
    for hour in sorted(files):
        if hour + HOUR <= before or left > retention.size:
            hours.add(hour)
            left -= _bytes(files[hour])
    return hours


def kept_from(hours: Sequence[int], keep: float, now: float) -> float:
    """The moment up to which hours, which rise, are too old; minus infinity: none is. keep: seconds."""
    end = start = None
    for hour in reversed(hours):
        if end is None or start is None or start - hour > _APART:
            end = hour
        start = hour
        if end - start >= _DAY:
            return min(now, end + HOUR) - keep
    return float("-inf")


def _removed(files: Sequence[tuple[Path, int]]) -> bool:
    """Remove the files of an hour, unless one of them is still written; whether they are removed."""
    with ExitStack() as stack:
        if not all(stack.enter_context(closed(path)) for path, _ in files):
            return False
        remove(path for path, _ in files)
    return True
