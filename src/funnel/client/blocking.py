"""A service over HTTP, one call after the other."""

from __future__ import annotations

import os
import time as clocks
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from funnel.client import calls
from funnel.client.attempts import Attempts, Lost, Reply
from funnel.client.calls import Call
from funnel.client.endpoint import Endpoint, http_library
from funnel.client.resources import RemoteBundles, RemoteItems, RemoteUsers
from funnel.serving.response import Answer

if TYPE_CHECKING:
    import httpx

    from funnel.catalogue.where import Where
    from funnel.serving.arguments import Seen
    from funnel.serving.state import Event

T = TypeVar("T")


class Client:
    """A service that `funnel serve` started, with the methods, values and errors of `Live`.

        with funnel.Client("http://127.0.0.1:8000") as client:
            answer = client.recommend(user_id, k=10)

    url: where it is. key: an API key, where the service asks for one; over networks, use https. timeout:
    seconds that a call takes at most, with all of its attempts. retries: attempts after the first. A call is
    sent again only where that does no harm: when the connection could not be made or the service said 429;
    and, where to do it twice is to do it once, when the connection broke, or with 503 and Retry-After. Events
    have a key of their own, by which the service knows them again. http: an httpx.Client of your own, for
    certificates and proxies; it is yours to close.

    Values are those of `Live`, but what JSON cannot say: NaN in an item's columns is None. Safe to use from
    several threads, and after a fork.

    Raises: FunnelError for what is no address, and when httpx is not installed. Methods raise what `Live`
    does, and ServiceError when the service cannot be reached, does not answer in time, or refuses the key.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        retries: int = 2,
        http: httpx.Client | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, key, timeout, retries)
        self._library, self._given = http_library(), http
        self._own: tuple[int, httpx.Client] | None = None
        self.items, self.users = RemoteItems(self._send), RemoteUsers(self._send)
        self.bundles = RemoteBundles(self._send)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; they are opened again when they are needed again."""
        own, self._own = self._own, None
        if own is not None and own[0] == os.getpid():
            own[1].close()

    def recommend(
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
        return self._send(call)

    def recommend_many(
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
        return self._send(call)

    def rank(
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
        return self._send(call)

    def similar(
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
        return self._send(call)

    def explain(
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
        return self._send(call)

    def history(self, user_id: Any) -> list[Any]:
        """The item ids that a user interacted with, oldest first, see `Live.history`."""
        return self._send(calls.history(user_id))

    def observe(
        self,
        *events: Event | tuple[Any, ...],
        kind: str = "interaction",
        value: float | None = None,
        key: str | None = None,
    ) -> None:
        """Take in that users interacted with items, see `Live.observe`."""
        if events:
            self._send(calls.observe(events, kind, value, key))

    def health(self) -> dict[str, Any]:
        """What an operator looks at, see `Live.health`: of the worker that answers."""
        return self._send(calls.health())

    @property
    def version(self) -> str:
        """The version in use."""
        return str(self.health()["version"])

    def _send(self, call: Call[T]) -> T:
        """The value of a call, after as many attempts as it takes and may take."""
        attempts = Attempts(call, self._endpoint.seconds, self._endpoint.again)
        while True:
            outcome = self._attempt(call, attempts.left())
            pause = attempts.pause(outcome)
            if pause is None:
                value: T = self._endpoint.value(call, outcome)
                return value
            clocks.sleep(pause)

    def _attempt(self, call: Call[Any], seconds: float) -> Reply | Lost:
        """One request, read in pieces, so that a service that sends byte by byte takes no longer either."""
        end, content = clocks.monotonic() + seconds, bytearray()
        try:
            with self._http.stream(**self._endpoint.request(call, seconds)) as response:
                for piece in response.iter_bytes():
                    content += piece
                    if clocks.monotonic() > end:
                        raise TimeoutError
                return Reply(response.status_code, response.headers, bytes(content))
        except (self._library.HTTPError, self._library.StreamError, TimeoutError) as error:
            return self._endpoint.lost(error, self._endpoint.seconds)

    @property
    def _http(self) -> httpx.Client:
        """A process has connections of its own: two that share a socket would read each other's answers."""
        if self._given is not None:
            return self._given
        own = self._own
        if own is None or own[0] != os.getpid():
            own = self._own = (os.getpid(), self._library.Client())
        return own[1]
