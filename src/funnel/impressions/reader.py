"""Reads the log: lines and what was compacted, each answer once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from funnel.errors import DataError
from funnel.impressions.compacted import impressions_in, sources_of
from funnel.impressions.files import COMPACTED, hour_in, in_hours
from funnel.impressions.locks import looking
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
    [since, until). figures: filled while it reads. Lines that are torn or damaged are skipped and counted. It
    may be read while others write, compact and erase.

    Raises: DataError for a compacted file that cannot be read.
    """
    folder, figures = Path(folder), ReadFigures() if figures is None else figures
    for hour in hours_in(folder, since, until):
        with ExitStack() as stack:
            for path, file in _opened(folder, hour, stack):
                figures.files += 1
                for impression in impressions_of(path, file, figures):
                    if (since is None or impression.time >= since) and (
                        until is None or impression.time < until
                    ):
                        figures.read += 1
                        yield impression


def hours_in(folder: Path, since: float | None = None, until: float | None = None) -> list[int]:
    """The hours that there are files of, rising."""
    return sorted({hour_in(path) or 0 for path in in_hours(folder, since, until)})


def files_of(folder: Path, hour: int) -> list[Path]:
    """The files of an hour, without those whose lines are in a compacted one: its writer was killed before it
    could remove them."""
    files = in_hours(folder, hour, hour + 1)
    compacted = {name for path in files if path.suffix == COMPACTED for name in sources_of(path)}
    return [path for path in files if path.name not in compacted]


def _opened(folder: Path, hour: int, stack: ExitStack) -> list[tuple[Path, BufferedReader]]:
    """The files of an hour, of one moment: what is compacted or erased meanwhile is read as it was."""
    with looking(folder):
        return [(path, stack.enter_context(path.open("rb"))) for path in files_of(folder, hour)]


def impressions_of(path: Path, file: BufferedReader, figures: ReadFigures) -> Iterator[Impression]:
    """The answers of one open file."""
    return impressions_in(path, file) if path.suffix == COMPACTED else _of_lines(file, figures)


def _of_lines(file: BufferedReader, figures: ReadFigures) -> Iterator[Impression]:
    for line in file:
        if not line.endswith(b"\n"):
            figures.torn += 1
        elif line.strip():  # else it was erased
            try:
                impression = from_line(line)
            except DataError:
                figures.damaged += 1
                continue
            yield impression
