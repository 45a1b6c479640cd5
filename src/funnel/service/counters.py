"""What workers count, in memory that they share: a row of whole numbers a worker, read by any of them.

The memory has no name: workers are forked with it, and the kernel frees it with the last of them, so that no
kill leaves anything behind. A row belongs to a place and not to a process: who is started again in a place
goes on with its row. Each number has one writer, the event loop of the row's worker, and is 8 bytes that are
written at once; so nothing needs a lock, and counts are exact over all workers.

An instrument has one number, or numbers by label. What labels there are is found out while it runs (stages
and reason codes are a bundle's), so a row also holds their names. Where an instrument has no room for
another, it is counted as "other".
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

#: Bounds of histograms of time, in seconds; what took longer is in the last bin.
BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

#: A histogram's numbers: a bin a bound, one for what is longer, and the sum in nanoseconds.
_WIDTH = len(BOUNDS) + 2

#: Bytes of a label's name, with its length in front.
_NAME = 64

#: The label of what there is no room for.
OTHER = "other"


@dataclass(frozen=True)
class Instrument:
    """One metric. labels: names of its labels, none for a single number. room: how many values of its labels
    it has room for. help: what it is, for people."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    room: int = 1

    @property
    def width(self) -> int:
        """Numbers for each of its labels."""
        return _WIDTH if self.kind == "histogram" else 1

    @property
    def bytes(self) -> int:
        """Of a row."""
        return self.room * (8 * self.width + (_NAME if self.labels else 0))


class Counters:
    """The rows of all workers. To be made before they are forked.

    instruments: what is counted. workers: how many rows there are.
    """

    def __init__(self, instruments: tuple[Instrument, ...], workers: int) -> None:
        self.instruments, self.workers = instruments, workers
        self._length = sum(instrument.bytes for instrument in instruments)
        self._memory = mmap.mmap(-1, self._length * workers)

    def row(self, worker: int) -> WorkerRow:
        """The row of a worker, which goes on with what is in it."""
        begin = worker * self._length
        return WorkerRow(self.instruments, memoryview(self._memory)[begin : begin + self._length])

    def rows(self) -> list[WorkerRow]:
        """Those of all workers, as they are now."""
        return [self.row(worker) for worker in range(self.workers)]


class WorkerRow:
    """What one worker has counted. Only its worker writes, and only from one thread."""

    def __init__(self, instruments: tuple[Instrument, ...], memory: memoryview) -> None:
        self._numbers = memory.cast("q")
        self._slots: dict[tuple[str, str], int] = {}
        self._names: dict[str, Names] = {}
        begin = 0
        for instrument in instruments:
            names = Names(memory, begin, instrument)
            self._names[instrument.name] = names
            self._slots |= {(instrument.name, label): slot for label, slot in names.slots()}
            begin += instrument.bytes

    def add(self, instrument: str, label: str = "", n: int = 1) -> None:
        """Count n more."""
        slot = self._slots.get((instrument, label))
        if slot is None:
            slot = self._new(instrument, label)
        self._numbers[slot] += n

    def put(self, instrument: str, value: int, label: str = "") -> None:
        """A gauge's value."""
        slot = self._slots.get((instrument, label))
        if slot is None:
            slot = self._new(instrument, label)
        self._numbers[slot] = value

    def observe(self, instrument: str, seconds: float, label: str = "") -> None:
        """Count how long something took."""
        slot = self._slots.get((instrument, label))
        if slot is None:
            slot = self._new(instrument, label)
        self._numbers[slot + bisect_left(BOUNDS, seconds)] += 1
        self._numbers[slot + _WIDTH - 1] += int(seconds * 1e9)

    def values(self, instrument: Instrument) -> Iterator[tuple[str, list[int]]]:
        """Each label of an instrument and its numbers."""
        for label, slot in self._names[instrument.name].slots():
            yield label, self._numbers[slot : slot + instrument.width].tolist()

    def value(self, instrument: str, label: str = "") -> int:
        """One number; 0 where it was never written."""
        slot = self._slots.get((instrument, label))
        return 0 if slot is None else self._numbers[slot]

    def name(self, instrument: str, label: str) -> None:
        """Give the only label of an instrument another name, with the value 1: such as the version in use."""
        if self._slots.get((instrument, label)) is None:
            self._slots = {key: slot for key, slot in self._slots.items() if key[0] != instrument}
            self._slots[instrument, label] = self._names[instrument].rename(label)
            self._numbers[self._slots[instrument, label]] = 1

    def _new(self, instrument: str, label: str) -> int:
        """Room for a label that was not seen before. What there is no room for is not kept here either."""
        slot, named = self._names[instrument].slot(label)
        if named:
            self._slots[instrument, label] = slot
        return slot


class Names:
    """Where the numbers of an instrument's labels are in a row: first all numbers, then the names."""

    def __init__(self, memory: memoryview, begin: int, instrument: Instrument) -> None:
        self._memory, self._begin, self._instrument = memory, begin, instrument
        self._of_names = begin + 8 * instrument.width * instrument.room

    def slots(self) -> list[tuple[str, int]]:
        """Each label that there is, and the position of its first number."""
        if not self._instrument.labels:
            return [("", self._begin // 8)]
        names = [self._name(number) for number in range(self._instrument.room)]
        return [(name, self._position(number)) for number, name in enumerate(names) if name is not None]

    def slot(self, label: str) -> tuple[int, bool]:
        """The position of a label's first number, and whether it is its own, which gets its name here; the
        last room is for all others.
        """
        label, last = _cut(label), self._instrument.room - 1
        for number in range(last):
            name = self._name(number)
            if name is None:
                self._write(number, label)
            if name is None or name == label:
                return self._position(number), True
        if self._name(last) is None:
            self._write(last, OTHER)
        return self._position(last), False

    def rename(self, label: str) -> int:
        """The position of the first number, whose label is this one from now on."""
        self._memory[self._of_names] = 0
        self._write(0, label)
        return self._position(0)

    def _position(self, number: int) -> int:
        return self._begin // 8 + number * self._instrument.width

    def _name(self, number: int) -> str | None:
        at = self._of_names + number * _NAME
        length = self._memory[at]
        return bytes(self._memory[at + 1 : at + length]).decode(errors="replace") if length else None

    def _write(self, number: int, label: str) -> None:
        """The length comes last: a row whose worker is killed in between has no such label."""
        raw, at = _cut(label).encode(), self._of_names + number * _NAME
        self._memory[at + 1 : at + 1 + len(raw)] = raw
        struct.pack_into("B", self._memory, at, len(raw) + 1)


def _cut(label: str) -> str:
    """A label in the bytes that there are for one."""
    return label.encode()[: _NAME - 1].decode(errors="ignore")
