"""Errors of the service, as `Live` raises them: problem documents (RFC 9457) become exceptions again."""

from __future__ import annotations

import json
from typing import Any

from funnel.client.attempts import Lost, Reply
from funnel.errors import BundleError, ConfigError, DataError, FunnelError, GateError, ServiceError

#: Classes by the name that a problem document has in `error`.
_CLASSES = {kind.__name__: kind for kind in (BundleError, ConfigError, DataError, FunnelError)}

#: Statuses that say what is wrong with the arguments, as `Live` does; others are about the service.
_OF_ARGUMENTS = (404, 409, 422)

#: Characters of an answer that is no problem document, in a message.
_MOST = 200


def read(outcome: Reply | Lost, where: str) -> Any:
    """The JSON of an answer. where: method and address, for messages.

    Raises: what the service raised; ServiceError when nothing came back, or something else than its JSON.
    """
    if isinstance(outcome, Lost):
        raise ServiceError(f"{where}: {outcome.message}") from outcome.error
    if 200 <= outcome.status < 300:
        return _document(outcome, where)
    raise error_of(outcome, where)


def is_absent(outcome: Reply | Lost) -> bool:
    """Whether the service, and nobody on the way to it, says that it does not have what was asked for."""
    if isinstance(outcome, Lost) or outcome.status != 404:
        return False
    return not isinstance(error_of(outcome, ""), ServiceError)


def error_of(reply: Reply, where: str) -> FunnelError:
    """What a refusal says, as an exception."""
    try:
        problem = json.loads(reply.content)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or "title" not in problem:
        text = reply.content[:_MOST].decode(errors="replace").strip()
        return ServiceError(f"{where} answered {reply.status}, which no funnel does: {text}", reply.status)
    text, kind = str(problem.get("detail") or problem["title"]), str(problem.get("error"))
    if kind == "GateError":
        return GateError(text, problem.get("verdict"))
    error = _CLASSES.get(kind, ServiceError)
    if error is ServiceError or (error is FunnelError and reply.status not in _OF_ARGUMENTS):
        return ServiceError(text, reply.status)
    return error(text)


def _document(reply: Reply, where: str) -> Any:
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        text = reply.content[:_MOST].decode(errors="replace").strip()
        raise ServiceError(f"{where} answered what is no JSON: {text!r}") from error
