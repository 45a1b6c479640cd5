"""Observed events, copied from the state's log before they go from it: each once, by its number there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from funnel.impressions.files import HOUR, hour_of
from funnel.impressions.join import SKEW
from funnel.pipeline.ingest.files import about, write_whole
from funnel.serving.state import Event, StateLog
from funnel.serving.state.log import Counted

SCHEMA = pa.schema(
    [
        ("number", pa.int64()), ("user_id", pa.string()), ("item_id", pa.string()), ("time", pa.int64()),
        ("kind", pa.string()), ("value", pa.float64()), ("answer", pa.string()),
    ]
)  # fmt: skip

#: Events of one file, and how many are compared to tell whether the log is the one that was copied.
_TOGETHER, _COMPARED = 100_000, 200

_NAME = re.compile(r"(\d{4})-(\d{19})-(\d{19})\.(\d+)-(\d+)\.parquet")


#: What a file says of the hours of its events that name an answer; and of those of no time, which may come of
#: any list.
_HOURS, _NO_TIME = "funnel.hours", -1


@dataclass(frozen=True)
class EventFile:
    """A file of events. epoch: which log of several that followed each other. first, last: numbers in it.
    since, until: the least and the largest time of an event."""

    path: Path
    epoch: int
    first: int
    last: int
    since: int
    until: int

    @cached_property
    def hours(self) -> list[int] | None:
        """Of its events that name an answer; None in a file of an earlier funnel."""
        hours = about(self.path, _HOURS)
        return None if hours is None else json.loads(hours)

    def may_come(self, since: float, until: float) -> bool:
        """Whether an event of it may come of a list in [since, until], or has no time. One clock that is
        wrong makes the least time, or the largest, one that says little."""
        if self.since and (self.until < since - SKEW or self.since > until):
            return False
        return self.hours is None or any(
            hour == _NO_TIME or (hour <= until and hour + HOUR > since - SKEW) for hour in self.hours
        )


def event_files(folder: Path) -> list[EventFile]:
    """What was copied, in its order."""
    matches = [(path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.parquet"))]
    return [EventFile(path, *map(int, match.groups())) for path, match in matches if match]


def copy_events(state: StateLog, folder: Path) -> int:
    """Copy the events that were not copied yet; how many. How far it is, the names of the files say.

    Raises: BundleError where the log cannot be read; OSError where a file cannot be written.
    """
    files, copied = event_files(folder), 0
    epoch, last = (files[-1].epoch, files[-1].last) if files else (0, 0)
    if files and _is_another(state, files):
        epoch, last = epoch + 1, 0
    while events := state.events_after(last, _TOGETHER):
        times = [event.time for event in events]
        numbers = f"{epoch:04d}-{events[0].number:019d}-{events[-1].number:019d}"
        target = folder / f"{numbers}.{max(0, min(times))}-{max(0, *times)}.parquet"
        hours = {_hour(event) for event in events if event.answer is not None}
        rows = [_row(event) for event in events]
        copied += write_whole(target, SCHEMA, [rows], {_HOURS: json.dumps(sorted(hours))})
        last = events[-1].number
    return copied


def has_all(state: StateLog, folder: Path, since: float) -> bool:
    """Whether the events that were copied and those that the log still has are all since a moment: they were
    copied from then on, and up to where the log begins now.

    Raises: BundleError where the log cannot be read.
    """
    files, oldest = event_files(folder), state.events_after(0, 1)
    if not files or (files[0].first > 1 and files[0].since > since):
        return False
    return not oldest or oldest[0].number <= files[-1].last + 1


def _hour(event: Counted) -> int:
    return hour_of(event.time) if event.time > 0 else _NO_TIME


def _row(event: Counted) -> dict[str, object]:
    return dict(zip(SCHEMA.names, event, strict=True))


def _is_another(state: StateLog, files: list[EventFile]) -> bool:
    """Whether the log has begun anew since: under a number that was copied it has another event."""
    mine = [file for file in files if file.epoch == files[-1].epoch]
    oldest = [event for event in state.events_after(0, _COMPARED) if event.number <= mine[-1].last]
    if not oldest:
        return False
    wanted = [file.path for file in mine if file.last >= oldest[0].number and file.first <= oldest[-1].number]
    copied = {row["number"]: row for path in wanted for row in pq.read_table(path).to_pylist()}
    return any(copied.get(event.number, _row(event)) != _row(event) for event in oldest)


def feedback(files: Iterable[EventFile], since: float, until: float) -> Iterator[Event]:
    """The events that name an answer and may come of a list in [since, until] of theirs, in their order;
    those without a time among them."""
    for file in files:
        if not file.may_come(since, until):
            continue
        table = pq.read_table(file.path)
        times = table["time"]
        near = pc.and_(pc.greater_equal(times, int(since) - SKEW), pc.less_equal(times, int(until)))
        wanted = pc.or_(near, pc.equal(times, 0))
        table = table.filter(pc.and_(pc.is_valid(table["answer"]), wanted))
        for row in table.to_pylist():
            yield Event(*(row[name] for name in SCHEMA.names[1:]))
