"""How long stages take, for deadlines: what a stage that can be left out is expected to need."""

from __future__ import annotations

import math

#: Of so many runs the latest are looked at, and so large a share of them is to end in time.
WINDOW, SHARE = 32, 0.9

#: At most so many requests leave a stage out before it is tried again.
MOST_LEFT_OUT = 256


class Runs:
    """The latest runs of one stage, on about so many candidates.

    What is expected is the 0.9 quantile of the last 32 runs: an order statistic of a sliding window, thus
    exact, in constant memory and time. A mean is moved for long by one stall, which says nothing of the next
    request; one stall in 32 leaves this quantile as it is. Estimates without a window, such as P² (Jain and
    Chlamtac, Communications of the ACM 28(10), 1985), never forget; those by stochastic approximation
    (Robbins and Monro, 1951) need a step in the unit of what is measured. A window forgets all after 32 runs.

    A stage that is left out is not measured, so it is tried now and then: after 1 request that left it out,
    then after 2, 4, … up to 256 while the trials end late; one that ends in time starts again at 1. A stage
    that has become fast again is therefore in use again after some 60 requests that follow the first trial,
    and one that is slow makes one request in 257 late.

    Threads that write at once lose one of their runs, no more; there is no lock that a fork could leave held.
    """

    __slots__ = ("_count", "_gap", "_left_out", "_window", "expected")

    def __init__(self, expected: float = 0.0) -> None:
        #: Seconds that nine in ten runs are within; 0 where nothing is known.
        self.expected = expected
        self._window: list[float] = []
        self._count = self._left_out = 0
        self._gap = 1

    def leave_out(self, seconds: float) -> bool:
        """Whether to leave the stage out, so much time being left; each call is a request."""
        if seconds <= 0:
            return True
        if self.expected <= seconds or self._left_out >= self._gap:
            return False
        self._left_out += 1
        return True

    def ran(self, seconds: float, left: float) -> None:
        """Record a run. seconds: it took. left: seconds that its request had when it began."""
        trial = self.expected > left
        if len(self._window) < WINDOW:
            self._window.append(seconds)
        else:
            self._window[self._count % WINDOW] = seconds
        self._count += 1
        latest = sorted(self._window)
        self.expected = latest[math.ceil(SHARE * len(latest)) - 1]
        if trial:
            self._gap = 1 if seconds <= left else min(2 * self._gap, MOST_LEFT_OUT)
        self._left_out = 0


class Durations:
    """The runs of each stage, by name and by number of candidates.

    One value is shared by all funnels of a `Live`, whatever bundle they are of and however many items they
    end in, so that what was learned is not learned again. Candidates are counted in powers of two; where a
    stage never ran on so many, its runs on the nearest number of them are scaled.
    """

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: dict[str, dict[int, Runs]] = {}

    def of(self, stage: str, candidates: int) -> Runs:
        """The runs of a stage on about so many candidates, of all requests of a batch together."""
        size = candidates.bit_length()
        sizes = self._runs.setdefault(stage, {})
        if size not in sizes:
            measured = [other for other, runs in list(sizes.items()) if runs.expected > 0]
            nearest = min(measured, key=lambda other: abs(other - size), default=size)
            scaled = sizes[nearest].expected * 2.0 ** (size - nearest) if measured else 0.0
            sizes.setdefault(size, Runs(scaled))
        return sizes[size]
