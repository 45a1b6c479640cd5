"""The parts of the page: what each is asked for, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from funnel.bundle.contents import Contents
from funnel.errors import FunnelError
from funnel.service.admission import Admission
from funnel.service.board import Board, health_of
from funnel.service.config import ServeConfig
from funnel.service.explore import TITLES, listed, trace
from funnel.service.hidden import masked
from funnel.service.missing import why
from funnel.service.page.form import Form
from funnel.service.page.render import Files, Templates
from funnel.service.page.stored import Stored
from funnel.service.page.waterfall import ROW, WIDTH, bars
from funnel.service.routes import allowed
from funnel.serving.live import Live
from funnel.values.plain import plain

#: Items of a stage's list, users to pick from, and neighbours of an item that are shown.
TOP, USERS, NEIGHBOURS = 50, 50, 12


class Page:
    """Routes of the page: its files, which anybody may have, and its parts, for the role read."""

    def __init__(self, live: Live, config: ServeConfig, board: Board | None = None) -> None:
        self._live, self._config, self._board = live, config, board
        self._templates, self._files, self._stored = Templates(), Files(), Stored(live)

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/", self._files.response, methods=["GET"], include_in_schema=False),
            Route("/page/{name}", self._files.response, methods=["GET"], include_in_schema=False),
            self._part("overview", self._overview),
            self._part("explorer", self._explorer),
            self._part("trace", self._trace),
            self._part("why", self._why),
            self._part("items", self._items),
            self._part("bundles", self._bundles),
        ]

    def _part(self, name: str, content: Callable[[Request], dict[str, Any]]) -> Route:
        def rendered(request: Request) -> Response:
            return self._templates.response(name, **content(request))

        async def endpoint(request: Request) -> Response:
            allowed(request, "read")
            return await run_in_threadpool(rendered, request)

        return Route(f"/view/{name}", endpoint, methods=["GET"], include_in_schema=False)

    def _overview(self, _: Request) -> dict[str, Any]:
        health, loaded = health_of(self._live.health(), self._board), self._live.served()
        return {
            "health": masked(health, self._live),
            "n_items": len(loaded.contents.catalogue.ids),
            "n_users": len(loaded.contents.users.ids),
            "fallback": loaded.manifest.fallback,
            **self._stored.overview(loaded.version),
        }

    def _explorer(self, request: Request) -> dict[str, Any]:
        contents, form = self._live.served().contents, Form(request.query_params, self._config.k)
        some = min(USERS, len(contents.users.ids)) if is_admin(request) else 0
        users = contents.users.ids.take(np.arange(some))
        given = form.text if form.query else form.text | {"user_id": str(users[0]) if users else ""}
        context = [] if contents.context is None else list(contents.context.table.specs)
        return {"users": users, "given": given, "columns": _filterable(contents), "context": context}

    def _trace(self, request: Request) -> dict[str, Any]:
        form = Form(request.query_params, self._config.k)
        traced = trace(self._live, form.request, form.k)
        return {
            "trace": traced.to_dict(TOP, stored=is_admin(request)),
            "query": form.query,
            "n_items": len(traced.contents.catalogue.ids),
        }

    def _why(self, request: Request) -> dict[str, Any]:
        form, item_id = (
            Form(request.query_params, self._config.k),
            request.query_params.get("item_id", "").strip(),
        )
        traced = trace(self._live, form.request, form.k)
        reason = why(traced, item_id)
        answered = traced.to_dict(1)["items"]
        own = next((item for item in answered if item["item_id"] == reason.item_id), None)
        shap = {} if reason.code in ("unknown", "deleted") else self._shap(form, reason.item_id)
        return {
            "why": reason,
            "own": own,
            "width": WIDTH,
            "row": ROW,
            "bars": [],
            "shap": None,
            "none": "",
            **shap,
        }

    def _shap(self, form: Form, item_id: Any) -> dict[str, Any]:
        request = form.request
        try:
            shap = self._live.explain(
                request.user_id, item_id, history=request.history, context=request.context
            )
        except FunnelError as error:
            return {"none": masked(str(error), self._live)}
        return {"shap": shap, "bars": bars(shap)}

    def _items(self, request: Request) -> dict[str, Any]:
        item_id = request.query_params.get("item_id", "").strip()
        contents = self._live.served().contents
        if not item_id and len(contents.catalogue.ids):
            item_id = str(contents.catalogue.ids.take(np.array([0]))[0])
        columns = self._live.items.get(item_id)
        near: list[dict[str, Any]] = []
        if columns is not None:
            answer = self._live.similar(item_id, NEIGHBOURS, attributes=[])
            rows = np.array([contents.catalogue.ids.row(item.item_id) for item in answer.items], np.int32)
            near = [
                of | {"score": item.score, "sources": item.sources}
                for of, item in zip(listed(contents, rows), answer.items, strict=True)
            ]
        changes = [plain(change) | {"at": _utc(change["time"])} for change in self._live.items.changes()]
        return {
            "item_id": item_id,
            "columns": None if columns is None else plain(columns),
            "near": near,
            "changes": changes,
        }

    def _bundles(self, request: Request) -> dict[str, Any]:
        return {"bundles": self._stored.bundles(), "admin": is_admin(request)}


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")[:19]


def is_admin(request: Request) -> bool:
    """Whether it may do everything, and see what is known of people."""
    admission: Admission = request.scope["admission"]
    return admission.role == "admin"


def _filterable(contents: Contents) -> list[str]:
    """Columns that a filter is likely to name."""
    return [name for name in contents.catalogue.layout if name not in ("item_id", *TITLES)]
