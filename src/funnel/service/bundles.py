"""What is in the store, and what is served from it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from funnel import gates
from funnel.errors import BundleError, GateError
from funnel.service.bodies import parsed
from funnel.service.hidden import masked
from funnel.service.models import RollbackBody
from funnel.service.observing import Shared
from funnel.service.problem import HttpProblem
from funnel.service.routes import Routes, allowed, as_response
from funnel.service.taken_up import taken_up
from funnel.serving.live import Live

#: Priority of the process that judges a bundle.
NICE = 10

#: Of a manifest, what a list of bundles shows.
_SHOWN = {"version", "created", "metrics"}


class Bundles:
    """Routes of bundles. What is published here is served when it has been answered: by this process, or
    where a supervisor sees to that by all workers."""

    def __init__(self, live: Live, shared: Shared) -> None:
        self._live, self._store, self._shared = live, live.store, shared
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
            done = await run_in_threadpool(self._rollback, wanted.version, wanted.force)
            await self._taken_up(done["published"])
            return as_response(done)

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

    def _rollback(self, version: str | None, force: bool) -> dict[str, Any]:
        try:
            published = gates.rollback(self._store, version, force=force)
        except GateError as error:
            verdict = error.verdict.model_dump(mode="json")
            raise HttpProblem(409, self._masked(str(error)), error="GateError", verdict=verdict) from error
        except BundleError as error:
            if version is not None and version not in self._versions():
                raise HttpProblem(404, self._unknown(version), error="BundleError") from error
            raise HttpProblem(409, self._masked(str(error)), error="BundleError") from error
        return {"published": published}

    async def _publish(self, version: str) -> dict[str, Any]:
        """As `funnel publish` does, in a process of its own: it loads two bundles."""
        if version not in await run_in_threadpool(self._versions):
            raise HttpProblem(404, self._unknown(version), error="BundleError")
        if self._publishing.locked():
            raise HttpProblem(409, "another bundle is being judged; try again when it is published")
        async with self._publishing:
            command = ["publish", version, "--store", str(self._live.folder), "--json"]
            command += [part for key in self._store.trust for part in ("--trust", key)]
            code, out, err = await _funnel(*command)
        verdict = _parsed(out)
        if code:
            wrong = self._masked(err).removeprefix("error ").strip()
            raise HttpProblem(409, wrong, error="GateError" if verdict else "BundleError", verdict=verdict)
        await self._taken_up(version)
        return verdict or {}

    async def _taken_up(self, version: str) -> None:
        """Wait until a published version is served. Raises: BundleError where it cannot be."""
        if self._shared.board is None:
            await run_in_threadpool(self._live.refresh)
        else:
            await taken_up(self._store, version, self._shared)

    def _versions(self) -> list[str]:
        return [manifest.version for manifest in self._store.versions()]

    def _unknown(self, version: str) -> str:
        return f"there is no version {version[:200]!r}; there are: {', '.join(self._versions()) or 'none'}"

    def _masked(self, text: str) -> str:
        return str(masked(text, self._live))


async def _funnel(*arguments: str) -> tuple[int, str, str]:
    """A command, to its end: exit code, what it printed, and its message."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "funnel", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    with suppress(OSError):  # what it judges is not waited for by those who ask
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
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
