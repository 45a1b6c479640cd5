"""Requests that wait are answered together, in one call of `Live.recommend_many`.

The engine runs in the event loop's own thread: to hand each request to another thread and back adds half of
what all of HTTP costs, and more where others wait. While a batch runs, requests gather in the sockets; the
loop then reads all of them before the next batch begins. So nobody waits for a batch to fill, and a service
that is idle adds nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Any, NamedTuple

from funnel.service.meter import Meter
from funnel.service.models import RecommendBody
from funnel.service.problem import HttpProblem
from funnel.serving.live import Live
from funnel.serving.response import Answer

#: What `recommend_many` does not take: a request that says one of these is answered alone.
_ALONE = ("history", "user", "exclude", "deadline", "attributes", "seed")


class Waiting(NamedTuple):
    """A request, since when it waits, and with which it may be answered: those of an equal key."""

    wanted: RecommendBody
    since: float
    key: str | None
    answer: asyncio.Future[Answer]


class Batcher:
    """Answers in the order of arrival; behind the first, those that can be answered with it.

    most: requests of a batch. seconds: what waited longer is refused, since nobody waits for it any more.
    To be used from one event loop.
    """

    def __init__(self, live: Live, most: int, seconds: float, meter: Meter) -> None:
        self._live, self._most, self._seconds, self._meter = live, most, seconds, meter
        self._waiting: deque[Waiting] = deque()
        self.batches = self.answered = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def answer(self, wanted: RecommendBody) -> asyncio.Future[Answer]:
        """The answer to come."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(wanted, perf_counter(), _key(wanted), loop.create_future())
        if not self._waiting:
            loop.call_soon(self._run)  # behind all that is read in this turn of the loop
        self._waiting.append(waiting)
        return waiting.answer

    def _run(self) -> None:
        """One batch; what is left waits for the next turn of the loop, so that sockets are read between."""
        batch = self._taken()
        self.batches += 1
        self.answered += len(batch)
        try:
            self._answer(batch)
        finally:
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._run)

    def _taken(self) -> list[Waiting]:
        first = self._waiting.popleft()
        batch = [first]
        if first.key is not None:
            others, self._waiting = self._waiting, deque()
            for other in others:
                fits = other.key == first.key and len(batch) < self._most
                (batch if fits else self._waiting).append(other)
        return batch

    def _answer(self, batch: list[Waiting]) -> None:
        now = perf_counter()
        self._meter.batch([now - waiting.since for waiting in batch])
        late = [waiting for waiting in batch if now - waiting.since > self._seconds]
        for waiting in late:
            _refuse(
                waiting,
                HttpProblem(503, "the service is overloaded; try again", headers={"retry-after": "1"}),
            )
        batch = [waiting for waiting in batch if not waiting.answer.done()]
        if len(batch) == 1 or not self._answered_together(batch):
            for waiting in batch:
                self._alone(waiting)

    def _answered_together(self, batch: list[Waiting]) -> bool:
        """Whether they were: a mistake of one is then told to that one alone."""
        if not batch:
            return True
        first = batch[0].wanted
        contexts = [waiting.wanted.context for waiting in batch]
        try:
            answers = self._live.recommend_many(
                [waiting.wanted.user_id for waiting in batch], first.k,
                where=first.where, time=first.time, seen=first.seen,
                context=contexts if any(contexts) else None,
            )  # fmt: skip
        except Exception:
            return False
        self._meter.answers(answers)
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer.set_result(answer)
        return True

    def _alone(self, waiting: Waiting) -> None:
        try:
            answer = self._recommended(waiting.wanted, perf_counter() - waiting.since)
            self._meter.answers([answer])
            waiting.answer.set_result(answer)
        except Exception as error:
            _refuse(waiting, error)

    def _recommended(self, wanted: RecommendBody, waited: float) -> Answer:
        """One answer; what it waited counts in its deadline."""
        deadline = None if wanted.deadline is None else wanted.deadline - 1000 * waited
        return self._live.recommend(
            wanted.user_id, wanted.k, history=wanted.history, user=wanted.user, where=wanted.where,
            exclude=wanted.exclude, time=wanted.time, deadline=deadline, attributes=wanted.attributes,
            seen=wanted.seen, context=wanted.context, seed=wanted.seed,
        )  # fmt: skip


def _refuse(waiting: Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _key(wanted: RecommendBody) -> str | None:
    """Equal for requests of which one call is; None for one that must be answered alone."""
    given = wanted.model_fields_set
    if not given.isdisjoint(_ALONE) and any(getattr(wanted, name) is not None for name in _ALONE):
        return None
    shared: tuple[Any, ...] = wanted.k, wanted.where, wanted.time, wanted.seen
    return repr(shared)  # in which 1, True and "1" are three
