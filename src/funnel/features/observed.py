"""Events that came in while a bundle serves: counted by item and moment, in bounded memory, at one cost
each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.types import Int32, Int64

#: Events whose moments are kept; of older ones only the item's number of events is.
ROOM = 1 << 20

#: Events that may be added, while a view of the state is read, before the oldest that it knows are written
#: over; and most that are put in together.
_SPARE = 4096


class Recent(NamedTuple):
    """`Observed` as compiled code takes it, at one moment: events from `tail` to before `number` are there.

    Event number i lies at i modulo the length of the arrays. heads: int64 [n_items], 1 + the number of each
    item's newest event. totals: int32 [n_items], all its events. times: int64. before: int64, the number of
    the item's event before this one. jump: int64, that of one further back. nth: int32, the number of the
    item's events up to this one. end: all observed events are at or after this moment.

    All arrays are written to while this is read: heads lead to events behind `number`, which are passed by,
    and an event near `tail` may be written over by one that is 2^20 younger. So links are followed back only,
    never up, which ends whatever stands in them.
    """

    heads: Int64
    totals: Int32
    times: Int64
    before: Int64
    jump: Int64
    nth: Int32
    tail: int
    number: int
    end: int


class Observed:
    """The newest events in a ring, each linked to the item's one before it and to one further back.

    The links are a skew-binary jump list (Myers 1983, "An applicative random-access stack"): an event is
    added at one cost whatever there is, and the item's events before any moment are found in a logarithmic
    number of steps. For that, moments do not fall: an event that is not after the fitted ones, or comes
    with an earlier time than the one before it, counts as of that.

    n_items: of the catalogue. end: one second after the last fitted event. room: events that are kept.
    `view` gives one state, which stays what it is while another thread adds some thousands; one thread may
    add at a time. Memory is taken when the first event comes, and by the system when it is written to.
    """

    def __init__(self, n_items: int, end: int, room: int = ROOM) -> None:
        self._room, self._end, self._last = room, end, end
        self._heads, self._totals = np.zeros(n_items, np.int64), np.zeros(n_items, np.int32)
        self._rows = _allocated(1)
        self._view = self._at(0)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self._heads)

    @property
    def count(self) -> int:
        """Events that were added."""
        return self._view.number

    @property
    def latest(self) -> int | None:
        """The moment of the newest event; None where there is none."""
        return self._last if self.count else None

    def view(self) -> Recent:
        """The state as it is now."""
        return self._view

    def add(self, items: NDArray[Any], times: NDArray[Any]) -> None:
        """Events of items by row, in the order in which they came; rows outside the catalogue are left
        out.
        """
        inside = (items >= 0) & (items < len(self._heads))
        rows = np.ascontiguousarray(items[inside], dtype=np.int32)
        when = np.maximum.accumulate(np.maximum(np.asarray(times, dtype=np.int64)[inside], self._last))
        count = self.count
        if len(rows) and not count:  # a view without an event does not look at them
            self._rows = _allocated(self._room + _SPARE)
        for part, moments in zip(_parts(rows), _parts(when), strict=True):
            _link(self._at(count), part, moments)
            count += len(part)
            self._last = int(moments[-1])
            self._view = self._at(count)

    def _at(self, count: int) -> Recent:
        return Recent(self._heads, self._totals, *self._rows, max(0, count - self._room), count, self._end)


def _allocated(size: int) -> tuple[Int64, Int64, Int64, Int32]:
    """times, before, jump and nth."""
    longs = [np.zeros(size, np.int64) for _ in range(3)]
    return longs[0], longs[1], longs[2], np.zeros(size, np.int32)


def _parts(values: NDArray[Any]) -> list[NDArray[Any]]:
    return [values[at : at + _SPARE] for at in range(0, len(values), _SPARE)]


@compiled
def _link(recent: Any, items: Any, times: Any) -> None:
    """Put events behind `recent.number`."""
    size = len(recent.times)
    for i in range(len(items)):
        number, item = recent.number + i, items[i]
        slot, tail = number % size, max(0, number - size + 1)
        parent, jump = recent.heads[item] - 1, -1
        if parent >= tail:
            jump, over = parent, recent.jump[parent % size]
            if over >= tail and recent.jump[over % size] >= tail:
                far = recent.jump[over % size]
                near = recent.nth[parent % size] - recent.nth[over % size]
                if near == recent.nth[over % size] - recent.nth[far % size]:
                    jump = far
        else:
            parent = -1
        recent.totals[item] += 1
        recent.times[slot], recent.before[slot], recent.jump[slot] = times[i], parent, jump
        recent.nth[slot] = recent.totals[item]
        recent.heads[item] = number + 1


@compiled(inner=True)
def newest_before(recent: Any, number: int, time: int) -> int:
    """The item's newest event from `number` back that is of `recent` and was before `time`; −1 for none."""
    size = len(recent.times)
    while number >= recent.tail:
        slot = number % size
        if number < recent.number and recent.times[slot] < time:
            return number
        jump = recent.jump[slot]
        later = jump >= recent.tail and (jump >= recent.number or recent.times[jump % size] >= time)
        further = jump if later else recent.before[slot]
        if further >= number:
            break
        number = further
    return -1


@compiled(inner=True)
def oldest(recent: Any, number: int) -> int:
    """The item's oldest event from `number` back that is still there."""
    size = len(recent.times)
    while True:
        slot = number % size
        jump, before = recent.jump[slot], recent.before[slot]
        if recent.tail <= jump < number:
            number = jump
        elif recent.tail <= before < number:
            number = before
        else:
            return number


@compiled(inner=True)
def upto(recent: Any, item: int, time: int) -> int:
    """How many of an item's events were before `time`; those that are gone were before any."""
    number, size = recent.heads[item] - 1, len(recent.times)
    newest = newest_before(recent, number, time)
    if newest >= 0:
        return recent.nth[newest % size]
    if number < recent.tail:
        return recent.totals[item]
    return max(recent.nth[oldest(recent, number) % size] - 1, 0)


@compiled(inner=True)
def all_before(recent: Any, time: int) -> int:
    """How many events of all items were before `time`."""
    low, high = recent.tail, recent.number
    while low < high:
        middle = (low + high) >> 1
        if recent.times[middle % len(recent.times)] < time:
            low = middle + 1
        else:
            high = middle
    return low
