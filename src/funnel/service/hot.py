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
from funnel.service.models import EventBody, EventsBody, ManyBody, RankBody, RecommendBody
from funnel.service.problem import HttpProblem
from funnel.service.writing import answer_json, answers_json, written
from funnel.serving.live import Live
from funnel.serving.state import Event

#: From a body, and the value of Idempotency-Key, to the body of the answer.
Handler: TypeAlias = Callable[[bytes, str | None], Awaitable[bytes]]


class Hot(NamedTuple):
    """A route: what answers it, and which role it takes."""

    handler: Handler
    role: Role


class HotRoutes:
    """What answers `POST` on each hot path. writer: a thread beside the loop, for what is written to disk."""

    def __init__(self, live: Live, config: ServeConfig, writer: ThreadPoolExecutor) -> None:
        self._live, self._config, self._writer = live, config, writer
        self.batcher = Batcher(live, config.batch, config.seconds)

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
        self._check_k(wanted.k)
        return answer_json(await self.batcher.answer(wanted))

    async def _recommend_many(self, body: bytes, _: str | None) -> bytes:
        wanted = parsed(body, ManyBody)
        self._check_k(wanted.k)
        if len(wanted.user_ids) > self._config.users:
            raise HttpProblem(
                422, f"user_ids holds {len(wanted.user_ids):,}; at most {self._config.users:,} here"
            )
        if len(wanted.user_ids) <= self._config.batch:
            return self._many(wanted)
        # What takes long lets others in between: kernels run without Python's lock.
        return await asyncio.get_running_loop().run_in_executor(None, self._many, wanted)

    def _many(self, wanted: ManyBody) -> bytes:
        return answers_json(
            self._live.recommend_many(
                wanted.user_ids, wanted.k, where=wanted.where, time=wanted.time, seen=wanted.seen,
                context=wanted.context,
            )
        )  # fmt: skip

    async def _rank(self, body: bytes, _: str | None) -> bytes:
        wanted = parsed(body, RankBody)
        return answer_json(
            self._live.rank(
                wanted.user_id, wanted.items, history=wanted.history, user=wanted.user, time=wanted.time,
                attributes=wanted.attributes, rerank=wanted.rerank, context=wanted.context,
            )
        )  # fmt: skip

    async def _events(self, body: bytes, key: str | None) -> bytes:
        wanted = parsed(body, EventsBody)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._observe, wanted.events, key)
        return written({"accepted": len(wanted.events)})

    def _observe(self, events: list[EventBody], key: str | None) -> None:
        self._live.observe(*map(_event, events), key=key)

    def _check_k(self, k: int) -> None:
        if k > self._config.k:
            raise HttpProblem(422, f"k is {k:,}; at most {self._config.k:,} here")


def _event(event: EventBody) -> Event:
    return Event(event.user_id, event.item_id, event.time, event.kind, event.value, event.answer)
