"""The routes that carry the load: plain ASGI, from a body to bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from funnel.service.admission import Role
from funnel.service.batching import Batcher
from funnel.service.bodies import parsed
from funnel.service.config import ServeConfig
from funnel.service.limits import check
from funnel.service.meter import Meter
from funnel.service.models import EventBody, EventsBody, ManyBody, RankBody, RecommendBody
from funnel.service.writing import answer_json, answers_json, written
from funnel.serving.live import Live
from funnel.serving.response import Answer
from funnel.serving.state import Event

#: From a body, and the value of Idempotency-Key, to the body of the answer.
Handler: TypeAlias = Callable[[bytes, str | None], Awaitable[bytes]]


class Hot(NamedTuple):
    """A route: what answers it, and which role it takes."""

    handler: Handler
    role: Role


class HotRoutes:
    """What answers `POST` on each hot path. writer: a thread beside the loop, for what is written to disk."""

    def __init__(self, live: Live, config: ServeConfig, writer: ThreadPoolExecutor, meter: Meter) -> None:
        self._live, self._config, self._writer, self._meter = live, config, writer, meter
        self.batcher = Batcher(live, config.batch, config.seconds, meter)

    def table(self) -> dict[str, Hot]:
        """By path."""
        return {
            "/v1/recommend": Hot(self._recommend, "read"),
            "/v1/recommend/many": Hot(self._recommend_many, "read"),
            "/v1/rank": Hot(self._rank, "read"),
            "/v1/events": Hot(self._events, "write"),
        }

    async def _recommend(self, body: bytes, _: str | None) -> bytes:
        wanted = parsed(body, RecommendBody)
        check(wanted, self._config)
        return answer_json(await self.batcher.answer(wanted))

    async def _recommend_many(self, body: bytes, _: str | None) -> bytes:
        wanted = parsed(body, ManyBody)
        check(wanted, self._config)
        if len(wanted.user_ids) <= self._config.batch:
            answers, text = self._many(wanted)
        else:  # what takes long lets others in between: kernels run without Python's lock
            answers, text = await asyncio.get_running_loop().run_in_executor(None, self._many, wanted)
        self._meter.answers(answers)
        return text

    def _many(self, wanted: ManyBody) -> tuple[list[Answer], bytes]:
        answers = self._live.recommend_many(
            wanted.user_ids, wanted.k, where=wanted.where, time=wanted.time, seen=wanted.seen,
            context=wanted.context,
        )  # fmt: skip
        return answers, answers_json(answers)

    async def _rank(self, body: bytes, _: str | None) -> bytes:
        wanted = parsed(body, RankBody)
        check(wanted, self._config)
        answer = self._live.rank(
            wanted.user_id, wanted.items, history=wanted.history, user=wanted.user, time=wanted.time,
            attributes=wanted.attributes, rerank=wanted.rerank, context=wanted.context,
        )  # fmt: skip
        self._meter.answers([answer])
        return answer_json(answer)

    async def _events(self, body: bytes, key: str | None) -> bytes:
        wanted = parsed(body, EventsBody)
        check(wanted, self._config)
        loop = asyncio.get_running_loop()
        self._meter.events(await loop.run_in_executor(self._writer, self._observe, wanted, key))
        return written({"accepted": len(wanted.events)})

    def _observe(self, wanted: EventsBody, key: str | None) -> int:
        events = list(map(_event, wanted.events))
        return self._live.take_in(events, kind=wanted.kind, value=wanted.value, key=key)


def _event(event: EventBody) -> Event:
    return Event(event.user_id, event.item_id, event.time, event.kind, event.value, event.answer)
