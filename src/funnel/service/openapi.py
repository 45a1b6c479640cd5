"""The document at /openapi.json, made from the models that bodies are checked by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from funnel.service import answers, models
from funnel.service.config import ServeConfig


class Operation(NamedTuple):
    """What a path does. body, answer: models; None for no body, and for any object. problems: statuses that
    it may have, beside those of all. parameters: of the path, the query and the headers, by name. media: type
    of the answer."""

    summary: str
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    parameters: Mapping[str, dict[str, Any]] = {}
    media: str = "application/json"


def _path(name: str) -> dict[str, dict[str, Any]]:
    """A part of the path."""
    written = "percent-encoded, a slash and the ids . and .. too: %2F, %2E, %2E%2E"
    schema = {"type": "string", "minLength": 1, "description": written}
    return {name: {"in": "path", "required": True, "schema": schema}}


#: The header under which events that are sent again are taken in once.
_KEY = {"in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255}}

#: Fields that a key of `[serve]` limits.
LIMITED = {
    "k": "k", "history": "history", "exclude": "history", "items": "items", "user_ids": "users",
    "events": "events",
}  # fmt: skip

_OF_BODY = (400, 408, 413, 415, 422)

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/recommend"): Operation(
        "The best items for one user", models.RecommendBody, answers.AnswerBody
    ),
    ("post", "/v1/recommend/many"): Operation(
        "The best items for several users", models.ManyBody, answers.AnswersBody
    ),
    ("post", "/v1/rank"): Operation("All of a given list, best first", models.RankBody, answers.AnswerBody),
    ("post", "/v1/explain"): Operation(
        "Why an item has its score", models.ExplainBody, answers.ContributionsBody
    ),
    ("post", "/v1/trace"): Operation(
        "What each stage makes of a request", models.TraceBody, answers.TracedBody
    ),
    ("post", "/v1/events"): Operation(
        "What users did", models.EventsBody, answers.AcceptedBody, parameters={"Idempotency-Key": _KEY}
    ),
    ("get", "/v1/items/{item_id}"): Operation(
        "An item as it is now", answer=answers.ItemRecord, problems=(404,), parameters=_path("item_id")
    ),
    ("get", "/v1/items/{item_id}/similar"): Operation(
        "The items nearest to an item",
        answer=answers.AnswerBody,
        problems=(422,),
        parameters=_path("item_id")
        | {
            "k": {"in": "query", "schema": {"type": "integer", "minimum": 1, "default": 10}},
            "user_id": {"in": "query", "schema": {"type": "string"}},
        },
    ),
    ("post", "/v1/similar"): Operation(
        "The items nearest to an item, with all arguments", models.SimilarBody, answers.AnswerBody
    ),
    ("put", "/v1/items"): Operation("Add items, or replace them", models.ItemsBody, answers.AcceptedBody),
    ("patch", "/v1/items"): Operation("Change columns of items", models.PatchesBody, answers.MissingBody),
    ("delete", "/v1/items"): Operation("Take items out", models.DeleteBody, answers.MissingBody),
    ("get", "/v1/users/{user_id}"): Operation(
        "All that is known of a person",
        answer=answers.KnownBody,
        problems=(422,),
        parameters=_path("user_id"),
    ),
    ("get", "/v1/users/{user_id}/history"): Operation(
        "What a person interacted with, oldest first",
        answer=answers.HistoryBody,
        problems=(422,),
        parameters=_path("user_id"),
    ),
    ("delete", "/v1/users/{user_id}"): Operation(
        "Forget a person", answer=answers.ForgottenBody, problems=(422,), parameters=_path("user_id")
    ),
    ("get", "/v1/bundles"): Operation("What is in the store", answer=answers.BundlesBody),
    ("post", "/v1/bundles/{version}/publish"): Operation(
        "Serve a bundle from now on, if every gate passes", problems=(404, 409), parameters=_path("version")
    ),
    ("post", "/v1/bundles/rollback"): Operation(
        "Serve again what was published before", models.RollbackBody, problems=(404, 409)
    ),
    ("get", "/health"): Operation("What an operator looks at, of the worker that answers"),
    ("get", "/health/live"): Operation("Whether the process runs", answer=answers.ProbeBody),
    ("get", "/health/ready"): Operation("Whether it can answer", answer=answers.ProbeBody),
    ("get", "/metrics"): Operation("What Prometheus collects", media="text/plain"),
    ("get", "/openapi.json"): Operation("This document"),
}


def document(config: ServeConfig, version: str = "1") -> dict[str, Any]:
    """OpenAPI 3.1 of the service, with the limits of its config."""
    every = {
        model for operation in OPERATIONS.values() for model in (operation.body, operation.answer) if model
    }
    every.add(answers.ProblemBody)
    inputs = sorted(((model, "validation") for model in every), key=lambda pair: pair[0].__name__)
    _, schema = models_json_schema(inputs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = schema["$defs"]
    _limit(schemas, config)
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method] = _operation(method, path, operation)
    _limit_k(paths, config)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "funnel",
            "version": version,
            "description": "Recommendations from a published bundle.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _limit(schemas: dict[str, Any], config: ServeConfig) -> None:
    """Write the limits of a config into the schemas of bodies."""
    for model in {operation.body for operation in OPERATIONS.values() if operation.body}:
        properties = schemas[model.__name__]["properties"]
        for name, key in LIMITED.items():
            field = properties.get(name, {})
            for part in (field, *field.get("anyOf", ())):
                word = {"integer": "maximum", "array": "maxItems"}.get(part.get("type", ""))
                if word:
                    part[word] = min(getattr(config, key), part.get(word, 2**62))


def _limit_k(paths: dict[str, Any], config: ServeConfig) -> None:
    for parameter in paths["/v1/items/{item_id}/similar"]["get"]["parameters"]:
        if parameter["name"] == "k":
            parameter["schema"] = parameter["schema"] | {"maximum": config.k}


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    fields: dict[str, Any] = {"summary": operation.summary, "operationId": _name(method, path)}
    if operation.parameters:
        fields["parameters"] = [{"name": name, **rest} for name, rest in operation.parameters.items()]
    if operation.body is not None:
        fields["requestBody"] = {"required": True, "content": {"application/json": _schema(operation.body)}}
    kind = "object" if operation.media == "application/json" else "string"
    answer = {"schema": {"type": kind}} if operation.answer is None else _schema(operation.answer)
    ok = {"200": {"description": "Done", "content": {operation.media: answer}}}
    return fields | {"responses": ok | _problems(operation)}


def _problems(operation: Operation) -> dict[str, Any]:
    statuses = {401, 403, 429, 500, 503, *operation.problems, *(_OF_BODY if operation.body else ())}
    content = {"application/problem+json": _schema(answers.ProblemBody)}
    return {
        str(status): {"description": "A problem (RFC 9457)", "content": content}
        for status in sorted(statuses)
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}


def _name(method: str, path: str) -> str:
    return f"{method}{path}".replace("/v1", "").translate(str.maketrans("/{}.", "____"))
