"""A service over HTTP, many calls at a time: `Client` with `await`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from funnel.client import calls
from funnel.client.attempts import Attempts, Lost, Reply
from funnel.client.calls import Call
from funnel.client.endpoint import Endpoint, http_library
from funnel.client.resources import AsyncRemoteBundles, AsyncRemoteItems, AsyncRemoteUsers
from funnel.serving.response import Answer

if TYPE_CHECKING:
    import httpx

    from funnel.catalogue.where import Where
    from funnel.serving.arguments import Seen
    from funnel.serving.state import Event

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same arguments, values and errors, each method to be awaited.

        async with funnel.AsyncClient("http://127.0.0.1:8000") as client:
            answer = await client.recommend(user_id, k=10)

    http: an httpx.AsyncClient of your own; it is yours to close, and of one event loop. For the other
    arguments see `Client`. Each event loop has connections of its own, so that one client serves one
    `asyncio.run` after the other, and loops of several threads.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, key, timeout, retries)
        self._library, self._given = http_library(), http
        self._own: dict[asyncio.AbstractEventLoop, tuple[int, httpx.AsyncClient]] = {}
        self.items, self.users = AsyncRemoteItems(self._send), AsyncRemoteUsers(self._send)
        self.bundles = AsyncRemoteBundles(self._send)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of this event loop; they are opened again when they are needed again."""
        own = self._own.pop(asyncio.get_running_loop(), None)
        if own is not None and own[0] == os.getpid():
            await own[1].aclose()

    async def recommend(
        self,
        user_id: Any = None,
        k: int = 10,
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        where: Where | None = None,
        exclude: Iterable[Any] | None = (),
        time: int | None = None,
        deadline: float | None = None,
        attributes: Iterable[str] | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Answer:
        """The best k items for one user, see `Live.recommend`."""
        call = calls.recommend(
            user_id,
            k,
            history=history,
            user=user,
            where=where,
            exclude=exclude,
            time=time,
            deadline=deadline,
            attributes=attributes,
            seen=seen,
            context=context,
            seed=seed,
        )
        return await self._send(call)

    async def recommend_many(
        self,
        user_ids: Iterable[Any],
        k: int = 10,
        *,
        where: Where | None = None,
        time: int | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[Answer]:
        """The best k items for each of several users, see `Live.recommend_many`."""
        call = calls.recommend_many(user_ids, k, where=where, time=time, seen=seen, context=context)
        return await self._send(call)

    async def rank(
        self,
        user_id: Any,
        items: Iterable[Any],
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        time: int | None = None,
        attributes: Iterable[str] | None = None,
        rerank: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> Answer:
        """All of a given list, best first, see `Live.rank`."""
        call = calls.rank(
            user_id,
            items,
            rerank=rerank,
            history=history,
            user=user,
            time=time,
            attributes=attributes,
            context=context,
        )
        return await self._send(call)

    async def similar(
        self,
        item_id: Any,
        k: int = 10,
        *,
        user_id: Any = None,
        where: Where | None = None,
        exclude: Iterable[Any] | None = (),
        time: int | None = None,
        attributes: Iterable[str] | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The k items nearest to an item, see `Live.similar`."""
        call = calls.similar(
            item_id,
            k,
            user_id=user_id,
            where=where,
            exclude=exclude,
            time=time,
            attributes=attributes,
            seen=seen,
            context=context,
        )
        return await self._send(call)

    async def explain(
        self,
        user_id: Any,
        item_id: Any,
        *,
        history: Iterable[Any] | None = None,
        user: Mapping[str, Any] | None = None,
        time: int | None = None,
        seen: Seen = None,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Each feature's contribution to the ranker's score of an item, see `Live.explain`."""
        call = calls.explain(
            user_id, item_id, history=history, user=user, time=time, seen=seen, context=context
        )
        return await self._send(call)

    async def history(self, user_id: Any) -> list[Any]:
        """The item ids that a user interacted with, oldest first, see `Live.history`."""
        return await self._send(calls.history(user_id))

    async def observe(
        self,
        *events: Event | tuple[Any, ...],
        kind: str = "interaction",
        value: float | None = None,
        key: str | None = None,
    ) -> None:
        """Take in that users interacted with items, see `Live.observe`."""
        if events:
            await self._send(calls.observe(events, kind, value, key))

    async def health(self) -> dict[str, Any]:
        """What an operator looks at, see `Live.health`: of the worker that answers."""
        return await self._send(calls.health())

    async def version(self) -> str:
        """The version in use."""
        return str((await self.health())["version"])

    async def _send(self, call: Call[T]) -> T:
        """The value of a call, after as many attempts as it takes and may take."""
        attempts = Attempts(call, self._endpoint.seconds, self._endpoint.again)
        while True:
            outcome = await self._attempt(call, attempts.left())
            pause = attempts.pause(outcome)
            if pause is None:
                value: T = self._endpoint.value(call, outcome)
                return value
            await asyncio.sleep(pause)

    async def _attempt(self, call: Call[Any], seconds: float) -> Reply | Lost:
        """One request, within its time however slowly the answer comes."""
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(**self._endpoint.request(call, seconds))
            return Reply(response.status_code, response.headers, response.content)
        except (self._library.HTTPError, self._library.StreamError, TimeoutError) as error:
            return self._endpoint.lost(error, self._endpoint.seconds)

    @property
    def _http(self) -> httpx.AsyncClient:
        """A process has connections of its own: two that share a socket would read each other's answers."""
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        own = self._own.get(loop)
        if own is None or own[0] != os.getpid():
            for other in [other for other in list(self._own) if other.is_closed()]:
                self._own.pop(other, None)  # whose connections nobody can use, or close, any more
            own = self._own[loop] = (os.getpid(), self._library.AsyncClient())
        return own[1]
