"""Reads the log: lines and what was compacted, each answer once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from funnel.errors import DataError
from funnel.impressions.compacted import impressions_in, sources_of
from funnel.impressions.files import COMPACTED, in_hours
from funnel.impressions.record import Impression, from_line


@dataclass
class ReadFigures:
    """What was read. files: how many. read: answers. torn: last lines that a killed process did not end.
    damaged: other lines that are none."""

    files: int = 0
    read: int = 0
    torn: int = 0
    damaged: int = 0


def read(
    folder: Path | str,
    since: float | None = None,
    until: float | None = None,
    figures: ReadFigures | None = None,
) -> Iterator[Impression]:
    """The answers of a log, by hour; in an hour one file behind the other, each in the order of its process.

        list(funnel.read_impressions("indexes/live/answers"))

    folder: `answers_folder(store)`; where it is absent there are none. since, until: seconds; only answers of
    [since, until). figures: filled while it reads. Lines that are torn or damaged are skipped and counted.

    Raises: DataError for a compacted file that cannot be read.
    """
    figures = ReadFigures() if figures is None else figures
    for path in files_once(Path(folder), since, until):
        figures.files += 1
        for impression in impressions_of(path, figures):
            if (since is None or impression.time >= since) and (until is None or impression.time < until):
                figures.read += 1
                yield impression


def files_once(folder: Path, since: float | None = None, until: float | None = None) -> list[Path]:
    """The files, without those whose lines are in a compacted one: its writer was killed before it could
    remove them."""
    files = in_hours(folder, since, until)
    compacted = {name for path in files if path.suffix == COMPACTED for name in sources_of(path)}
    return [path for path in files if path.name not in compacted]


def impressions_of(path: Path, figures: ReadFigures) -> Iterator[Impression]:
    """The answers of one file; none where it was compacted just now."""
    try:
        yield from impressions_in(path) if path.suffix == COMPACTED else _of_lines(path, figures)
    except FileNotFoundError:
        return


def _of_lines(path: Path, figures: ReadFigures) -> Iterator[Impression]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                figures.torn += 1
                return
            try:
                impression = from_line(line)
            except DataError:
                figures.damaged += 1
                continue
            yield impression
