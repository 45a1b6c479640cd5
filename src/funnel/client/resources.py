"""What a service keeps: `client.items` and `client.users`, as in `Live`, and `client.bundles`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from funnel.client import calls
from funnel.client.calls import Call
from funnel.serving.erased import Erased

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Send(Protocol):
    """Sends a call; its value."""

    def __call__(self, call: Call[T], /) -> T: ...


class AsyncSend(Protocol):
    """The same, to be awaited."""

    async def __call__(self, call: Call[T], /) -> T: ...


class RemoteItems:
    """The items of the service; needs a key that may write."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, item_id: Any) -> dict[str, Any] | None:
        """An item's columns as they are now; None where it is unknown or deleted, see `Live.items`."""
        return self._send(calls.item(item_id))

    def upsert(self, items: pd.DataFrame) -> None:
        """Add items, or replace all columns of those that are there, see `Live.items`."""
        return self._send(calls.upsert(items))

    def patch(self, ids: Iterable[Any], columns: Mapping[str, Any]) -> list[Any]:
        """Change single columns of items; the ids that are not there, see `Live.items`."""
        return self._send(calls.patch(ids, columns))

    def patch_each(self, changes: Mapping[Any, Mapping[str, Any]]) -> list[Any]:
        """The same with columns of its own for each item, see `Live.items`."""
        return self._send(calls.patch_each(changes))

    def delete(self, ids: Iterable[Any]) -> list[Any]:
        """Take items out; the ids that were not there, see `Live.items`."""
        return self._send(calls.delete(ids))


class RemoteUsers:
    """What the service knows of people; needs a key with the role admin."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def known(self, user_id: Any) -> dict[str, Any]:
        """All that is known of a person, see `Live.users`."""
        return self._send(calls.user(user_id))

    def forget(self, user_id: Any) -> Erased:
        """Forget a person, see `Live.users`."""
        return self._send(calls.forget(user_id))


class RemoteBundles:
    """What the service may serve; needs a key with the role admin to change it."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def list(self) -> dict[str, Any]:
        """The bundles of the store, newest first, and which is published."""
        return self._send(calls.bundles())

    def publish(self, version: str) -> dict[str, Any]:
        """Judge a bundle and serve it. Raises: GateError where a gate fails."""
        return self._send(calls.publish(version))

    def rollback(self, *, force: bool = False) -> dict[str, Any]:
        """Serve again what was published before. force: also while an experiment runs on bundles. Raises:
        GateError where one does."""
        return self._send(calls.rollback(force))


class AsyncRemoteItems:
    """The same, to be awaited."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def get(self, item_id: Any) -> dict[str, Any] | None:
        """An item's columns as they are now; None where it is unknown or deleted, see `Live.items`."""
        return await self._send(calls.item(item_id))

    async def upsert(self, items: pd.DataFrame) -> None:
        """Add items, or replace all columns of those that are there, see `Live.items`."""
        return await self._send(calls.upsert(items))

    async def patch(self, ids: Iterable[Any], columns: Mapping[str, Any]) -> list[Any]:
        """Change single columns of items; the ids that are not there, see `Live.items`."""
        return await self._send(calls.patch(ids, columns))

    async def patch_each(self, changes: Mapping[Any, Mapping[str, Any]]) -> list[Any]:
        """The same with columns of its own for each item, see `Live.items`."""
        return await self._send(calls.patch_each(changes))

    async def delete(self, ids: Iterable[Any]) -> list[Any]:
        """Take items out; the ids that were not there, see `Live.items`."""
        return await self._send(calls.delete(ids))


class AsyncRemoteUsers:
    """The same, to be awaited."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def known(self, user_id: Any) -> dict[str, Any]:
        """All that is known of a person, see `Live.users`."""
        return await self._send(calls.user(user_id))

    async def forget(self, user_id: Any) -> Erased:
        """Forget a person, see `Live.users`."""
        return await self._send(calls.forget(user_id))


class AsyncRemoteBundles:
    """The same, to be awaited."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def list(self) -> dict[str, Any]:
        """The bundles of the store, newest first, and which is published."""
        return await self._send(calls.bundles())

    async def publish(self, version: str) -> dict[str, Any]:
        """Judge a bundle and serve it. Raises: GateError where a gate fails."""
        return await self._send(calls.publish(version))

    async def rollback(self, *, force: bool = False) -> dict[str, Any]:
        """Serve again what was published before. force: also while an experiment runs on bundles. Raises:
        GateError where one does."""
        return await self._send(calls.rollback(force))
