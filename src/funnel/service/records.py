"""Items that change while they are served, and what is known of people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from starlette.requests import Request
from starlette.routing import BaseRoute

from funnel.errors import DataError
from funnel.service.config import ServeConfig
from funnel.service.models import DeleteBody, ItemsBody, PatchesBody, SimilarBody
from funnel.service.problem import HttpProblem
from funnel.service.routes import Routes, whole_number
from funnel.service.writing import answer_json
from funnel.serving.live import Live
from funnel.values.shown import shown


class Records:
    """Routes of items and users, over `live.items` and `live.users`."""

    def __init__(self, live: Live, config: ServeConfig) -> None:
        self._live, self._config = live, config

    def routes(self, make: Routes) -> list[BaseRoute]:
        """Ids are the rest of a path, and may have slashes in them; see `IdRoute`."""
        return [
            make.with_body("/v1/items", ItemsBody, self._upsert, "write", "PUT"),
            make.with_body("/v1/items", PatchesBody, self._patch, "write", "PATCH"),
            make.with_body("/v1/items", DeleteBody, self._delete, "write", "DELETE"),
            make.without_body(
                "/v1/items/{item_id:path}/similar", self._similar, "read", query=("k", "user_id")
            ),
            make.with_body("/v1/similar", SimilarBody, self._similar_to, "read"),
            make.without_body("/v1/items/{item_id:path}", self._item, "read"),
            make.without_body("/v1/users/{user_id:path}/history", self._history, "admin"),
            make.without_body("/v1/users/{user_id:path}", self._user, "admin"),
            make.without_body("/v1/users/{user_id:path}", self._forget, "admin", "DELETE"),
        ]

    def _upsert(self, wanted: ItemsBody) -> dict[str, Any]:
        columns = list(wanted.items[0])
        for number, item in enumerate(wanted.items):
            if item.keys() != wanted.items[0].keys():
                lacking = sorted(item.keys() ^ wanted.items[0].keys())
                raise DataError(f"items {0} and {number} have not the same columns: {shown(lacking)}")
        frame = pd.DataFrame({name: [item[name] for item in wanted.items] for name in columns}, dtype=object)
        self._live.items.upsert(frame)
        return {"accepted": len(wanted.items)}

    def _patch(self, wanted: PatchesBody) -> dict[str, Any]:
        return {"missing": self._live.items.patch_each(wanted.patches)}

    def _delete(self, wanted: DeleteBody) -> dict[str, Any]:
        return {"missing": self._live.items.delete(wanted.item_ids)}

    def _item(self, request: Request) -> dict[str, Any]:
        item_id = request.path_params["item_id"]
        columns = self._live.items.get(item_id)
        if columns is None:
            raise HttpProblem(404, f"no item {shown(item_id)} is in the catalogue, or it was deleted")
        return {
            "item_id": columns.get("item_id", item_id),
            "version": self._live.version,
            "attributes": columns,
        }

    def _similar(self, request: Request) -> bytes:
        k = whole_number(request, "k", 10, self._config.k)
        user_id = request.query_params.get("user_id")
        return answer_json(self._live.similar(request.path_params["item_id"], k, user_id=user_id))

    def _similar_to(self, wanted: SimilarBody) -> bytes:
        return answer_json(
            self._live.similar(
                wanted.item_id, wanted.k, user_id=wanted.user_id, where=wanted.where, exclude=wanted.exclude,
                time=wanted.time, attributes=wanted.attributes, seen=wanted.seen, context=wanted.context,
            )
        )  # fmt: skip

    def _history(self, request: Request) -> dict[str, Any]:
        return {"history": self._live.history(request.path_params["user_id"])}

    def _user(self, request: Request) -> dict[str, Any]:
        return self._live.users.known(request.path_params["user_id"])

    def _forget(self, request: Request) -> dict[str, Any]:
        return asdict(self._live.users.forget(request.path_params["user_id"]))
