"""How long requests wait on a group of machines: a queue for the cores of each, stragglers, fan-out, hedging.

Simulated and not computed: times are drawn from what was measured, the same draws at every load (common
random numbers), so that more load is never faster by chance.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.plan_model import Assumed, quantile

Microseconds = NDArray[np.float64]

#: After this share of a machine's answers another machine is asked, too (Dean and Barroso: The tail at scale,
#: 2013), which is the share of requests that are sent twice.
HEDGED_AFTER = 0.95


@dataclass(frozen=True)
class Machine:
    """What a machine does. rate: requests a second. tasks: of a request, each `task` microseconds in the
    mean. other: microseconds of what one of the `machines` of a group does for each request."""

    rate: float
    tasks: int
    task: float
    other: float
    machines: int = 1

    def busy(self, cores: int) -> float:
        """The share of the cores' time."""
        return self.rate * (self.tasks * self.task + self.other / self.machines) / 1e6 / cores


def drawn(shape: list[tuple[float, float]], mean: float, n: int, rng: np.random.Generator) -> Microseconds:
    """n times of what was measured, each n-th of its distribution once, in an order by chance."""
    return mean * quantile(shape, rng.permutation((np.arange(n) + 0.5) / n))


def answers(
    machine: Machine, shape: list[tuple[float, float]], assumed: Assumed, n: int, seed: int
) -> tuple[Microseconds, Microseconds]:
    """Until a machine has done all tasks of a request, and the rest of it: microseconds, n of each.

    Requests come by chance (Poisson); a task goes to the core that is free first, in the order of arrival.
    """
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1e6 / machine.rate, size=n)
    arrivals = np.cumsum(gaps)
    tasks = drawn(shape, machine.task, n * machine.tasks, rng).reshape(n, machine.tasks)
    others = drawn(shape, machine.other, n, rng)
    mine = rng.random(n) < 1 / machine.machines
    free = [0.0] * assumed.cores
    heapq.heapify(free)
    searched, rest = np.zeros(n), np.zeros(n)
    for i in range(n):
        end = 0.0
        for took in tasks[i]:
            end = max(end, _run(free, arrivals[i], took))
        searched[i] = end - arrivals[i]
        if mine[i]:
            rest[i] = _run(free, arrivals[i], others[i]) - arrivals[i]
    rest[~mine] = rng.choice(rest[mine], size=int((~mine).sum()))
    return searched + _pauses(n, assumed, rng), rest


def _run(free: list[float], arrival: float, took: float) -> float:
    """When a task ends on the core that is free first."""
    end = max(free[0], arrival) + took
    heapq.heapreplace(free, end)
    return end


def _pauses(n: int, assumed: Assumed, rng: np.random.Generator) -> Microseconds:
    late = rng.random(n) < assumed.stragglers
    return late * rng.exponential(assumed.pause, size=n)


def fanned_out(times: Microseconds, fan_out: int, n: int, seed: int, *, hedged: bool = False) -> Microseconds:
    """The slowest of so many machines' answers, for n requests.

    hedged: a machine that has not answered after the time that 95% take is asked a second time, elsewhere,
    and the first answer counts. Without and with it the first answers are the same.
    """
    rng = np.random.default_rng(seed)
    first = times[rng.integers(len(times), size=(n, fan_out))]
    if hedged:
        late = np.quantile(times, HEDGED_AFTER)
        again = late + times[rng.integers(len(times), size=(n, fan_out))]
        first = np.where(first > late, np.minimum(first, again), first)
    return first.max(axis=1)


@dataclass(frozen=True)
class Tail:
    """Milliseconds of requests at their 50th and 99th percentile."""

    p50: float
    p99: float


def tail(
    machine: Machine,
    shape: list[tuple[float, float]],
    assumed: Assumed,
    *,
    hedged: bool = False,
    n: int = 20_000,
    seed: int = 0,
) -> Tail:
    """Of whole requests: the slowest machine's search, the rest on one, and the ways between them.

    A request whose search is spread takes two ways: one for the search, one for the columns of what was
    found. Hedged requests are load as well: each machine gets 5% more.
    """
    loaded = Machine(
        machine.rate * (2 - HEDGED_AFTER if hedged else 1.0),
        machine.tasks,
        machine.task,
        machine.other,
        machine.machines,
    )
    searched, rest = answers(loaded, shape, assumed, n, seed)
    ways = 0.0 if machine.machines == 1 else 2 * assumed.trip
    whole = fanned_out(searched, machine.machines, n, seed + 1, hedged=hedged) + rest + ways
    p50, p99 = np.quantile(whole / 1000, [0.5, 0.99])
    return Tail(float(p50), float(p99))
