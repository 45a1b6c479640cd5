"""What is in the store, and what is served from it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from funnel.artifacts import Store
from funnel.errors import BundleError
from funnel.service.bodies import parsed
from funnel.service.models import RollbackBody
from funnel.service.problem import HttpProblem
from funnel.service.routes import Routes, allowed, as_response
from funnel.serving.live import Live

#: Of a manifest, what a list of bundles shows.
_SHOWN = {"version", "created", "metrics"}


class Bundles:
    """Routes of bundles. What is published here is served by this process when it answers; by all others
    when they look the next time."""

    def __init__(self, live: Live) -> None:
        self._live, self._store = live, Store(live.folder)
        self._publishing = asyncio.Lock()

    def routes(self, make: Routes) -> list[BaseRoute]:
        """All of them."""

        async def publish(request: Request) -> Response:
            allowed(request, "admin")
            return as_response(await self._publish(request.path_params["version"]))

        async def rollback(request: Request) -> Response:
            allowed(request, "admin")
            body = await make.body(request)
            wanted = parsed(body, RollbackBody) if body.strip() else RollbackBody()
            return as_response(await run_in_threadpool(self._rollback, wanted.version))

        return [
            make.without_body("/v1/bundles", lambda _: self._list(), "read"),
            Route("/v1/bundles/rollback", rollback, methods=["POST"]),
            Route("/v1/bundles/{version}/publish", publish, methods=["POST"]),
        ]

    def _list(self) -> dict[str, Any]:
        store = self._store
        marks = {store.anchor(): "anchor", store.previous(): "previous", store.published(): "current"}
        return {
            "bundles": [
                {**manifest.model_dump(mode="json", include=_SHOWN), "is": marks.get(manifest.version, "")}
                for manifest in store.versions()
            ],
            "publications": [
                done.model_dump(mode="json", exclude={"gates"}) for done in store.publications()
            ],
        }

    def _rollback(self, version: str | None) -> dict[str, Any]:
        try:
            published = self._store.rollback(version)
        except BundleError as error:
            if version is not None and version not in self._versions():
                raise HttpProblem(404, self._unknown(version), error="BundleError") from error
            raise HttpProblem(409, self._masked(str(error)), error="BundleError") from error
        self._live.refresh()
        return {"published": published}

    async def _publish(self, version: str) -> dict[str, Any]:
        """As `funnel publish` does, in a process of its own: it loads two bundles."""
        if version not in await run_in_threadpool(self._versions):
            raise HttpProblem(404, self._unknown(version), error="BundleError")
        if self._publishing.locked():
            raise HttpProblem(409, "another bundle is being judged; try again when it is published")
        async with self._publishing:
            command = ["publish", version, "--store", str(self._live.folder), "--json"]
            code, out, err = await _funnel(*command)
        verdict = _parsed(out)
        if code:
            wrong = self._masked(err).removeprefix("error ").strip()
            raise HttpProblem(409, wrong, error="GateError" if verdict else "BundleError", verdict=verdict)
        await run_in_threadpool(self._live.refresh)
        return verdict or {}

    def _versions(self) -> list[str]:
        return [manifest.version for manifest in self._store.versions()]

    def _unknown(self, version: str) -> str:
        return f"there is no version {version[:200]!r}; there are: {', '.join(self._versions()) or 'none'}"

    def _masked(self, text: str) -> str:
        folder = str(self._live.folder)
        return text.replace(f"{folder}/", "").replace(folder, "the store") if folder.startswith("/") else text


async def _funnel(*arguments: str) -> tuple[int, str, str]:
    """A command, to its end: exit code, what it printed, and its message."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "funnel", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    except BaseException:
        process.terminate()
        raise
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
