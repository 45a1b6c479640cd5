"""Files of lines that nobody writes any more become one Parquet file an hour."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from funnel.artifacts.writing import sync
from funnel.impressions.compacted import sources_of, write_compacted
from funnel.impressions.files import COMPACTED, LINES, closed, hour_in, hour_text, in_hours
from funnel.impressions.locks import rewriting
from funnel.impressions.reader import ReadFigures, impressions_of
from funnel.impressions.record import Impression
from funnel.impressions.removal import remove


def compact(folder: Path) -> ReadFigures:
    """Compact all files of lines whose writers have left them. What a killed one left half done is taken up.

    Returns what was read. Raises: OSError where the folder cannot be written; DataError for a compacted file
    that is damaged. Nothing is lost then, and another call goes on.
    """
    figures = ReadFigures()
    if not folder.is_dir():
        return figures
    with rewriting(folder):
        _end_what_was_begun(folder)
    of_hour: dict[int, list[Path]] = defaultdict(list)
    for path in in_hours(folder, None, None):
        if path.suffix == LINES:
            of_hour[hour_in(path) or 0].append(path)
    for hour, paths in of_hour.items():
        with rewriting(folder):
            _compact_hour(folder, hour, paths, figures)
    return figures


def _compact_hour(folder: Path, hour: int, paths: Sequence[Path], figures: ReadFigures) -> None:
    with ExitStack() as stack:
        mine = [path for path in paths if path.exists() and stack.enter_context(closed(path))]
        if not mine:
            return
        figures.files += len(mine)
        target = folder / f"{hour_text(hour)}.{os.urandom(6).hex()}{COMPACTED}"
        write_whole(target, _counted(mine, figures), [path.name for path in mine])
        for path in mine:
            path.unlink()


def _counted(paths: Sequence[Path], figures: ReadFigures) -> Iterator[Impression]:
    for path in paths:
        with path.open("rb") as file:
            for impression in impressions_of(path, file, figures):
                figures.read += 1
                yield impression


def write_whole(target: Path, impressions: Iterator[Impression], sources: Sequence[str]) -> None:
    """A compacted file that appears whole, or takes another's place. Raises: OSError."""
    hidden = target.with_name(f".{target.name}.new")
    try:
        write_compacted(hidden, impressions, sources)
        hidden.chmod(0o600)
        sync(hidden)
        hidden.replace(target)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    sync(target.parent)


def _end_what_was_begun(folder: Path) -> None:
    """Remove what a killed one wrote in part, and the files of lines that it had compacted."""
    for hidden in folder.glob(f".*{COMPACTED}.new"):
        hidden.unlink()
    for path in in_hours(folder, None, None):
        for name in sources_of(path) if path.suffix == COMPACTED else ():
            (folder / Path(name).name).unlink(missing_ok=True)


def remove_before(folder: Path, moment: float) -> int:
    """Remove files of hours that ended before a moment, but those that are still written; how many."""
    removed = 0
    with rewriting(folder):
        for path in in_hours(folder, None, moment):
            if (hour_in(path) or 0) + 3600 > moment:
                continue
            with closed(path) as nobody_writes:
                if nobody_writes:
                    remove([path])
                    removed += 1
    return removed
