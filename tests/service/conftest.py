"""A service over the small movies, asked in process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from funnel import Live
from tests.tiny import TinyBuild

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

T = TypeVar("T")

#: Runs what is done with a client of a service to its end.
Asked: TypeAlias = Callable[[Callable[[Any], Coroutine[Any, Any, T]]], T]


@pytest.fixture
def indexes(built: TinyBuild, tmp_path: Path) -> Path:
    """A store of this test alone."""
    return Path(shutil.copytree(built.indexes, tmp_path / "indexes"))


@pytest.fixture
def live(indexes: Path) -> Iterator[Live]:
    """What answers."""
    live = Live(indexes)
    yield live
    live.close()


def client(service: Any) -> Any:
    """Of a service in this process; what it raises is raised here."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://test")


def asked(service: Any, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """What `work` returns, with a client of the service."""

    async def run() -> T:
        async with client(service) as own:
            return await work(own)

    return asyncio.run(run())


def post(service: Any, path: str, body: Any, method: str = "POST", **headers: str) -> Any:
    """One request. body: bytes as they are, else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return asked(service, lambda own: own.request(method, path, content=content, headers=given))


def get(service: Any, path: str) -> Any:
    """One request."""
    return asked(service, lambda own: own.get(path))
