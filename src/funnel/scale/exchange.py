"""Values that processes of a cluster leave for each other."""

from __future__ import annotations

import asyncio
from typing import Any


class Exchange:
    """An actor: as many processes as there are ask it at a time, and are answered when the last has."""

    def __init__(self, of: int) -> None:
        self._of = of
        self._left: dict[int, dict[int, Any]] = {}
        self._full: dict[int, asyncio.Event] = {}

    async def gather(self, time: int, number: int, value: Any) -> list[Any]:
        """What all processes gave at their so-manieth time, by number."""
        left, full = self._left.setdefault(time, {}), self._full.setdefault(time, asyncio.Event())
        left[number] = value
        if len(left) == self._of:
            full.set()
            del self._left[time], self._full[time]  # those who wait have both
        await full.wait()
        return [left[number] for number in range(self._of)]


class Gather:
    """A process's side of it: `funnel.recipes.Member.gather`."""

    def __init__(self, ray: Any, exchange: Any, number: int) -> None:
        self._ray, self._exchange, self._number, self._time = ray, exchange, number, 0

    def __call__(self, value: Any) -> list[Any]:
        self._time += 1
        answer: list[Any] = self._ray.get(self._exchange.gather.remote(self._time, self._number, value))
        return answer
